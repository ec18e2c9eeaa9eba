"""FHIR Observations in the flat shape of jupyterhealth-client, for notebooks written with it. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

Json = Mapping[str, Any]
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)


def tidy_frame(resources: Iterable[Json]) -> pd.DataFrame:
    """FHIR Observation resources as the flat frame of jupyterhealth-client: every path a column, joined by `_`.

    A column ending in `date_time` is a UTC timestamp, with the clock as written beside it in `…_date_time_local`.
    """
    frame = pd.DataFrame.from_records([tidy_observation(resource) for resource in resources])
    local = {}
    for name in [name for name in frame.columns if name.endswith("date_time")]:
        texts = frame[name].astype(object).where(frame[name].notna(), None)
        written = [None if text is None else _ZONE.sub("", text) for text in texts]
        local[f"{name}_local"] = pd.to_datetime(pd.Series(written, dtype=object), format="ISO8601")
        frame[name] = pd.to_datetime(texts, utc=True, format="ISO8601")
    if "meta_lastUpdated" in frame:
        frame["meta_lastUpdated"] = pd.to_datetime(frame["meta_lastUpdated"], utc=True, format="ISO8601")
    return frame.assign(**local)


def tidy_observation(resource: Json) -> dict[str, Any]:
    """One FHIR Observation as a flat dictionary: code, resource, header, body; later paths win over earlier ones."""
    attachment = resource.get("valueAttachment") or {}
    point = json.loads(base64.b64decode(attachment["data"])) if attachment.get("data") else {}
    code = resource["code"]["coding"][0]["code"]
    rest = {name: value for name, value in resource.items() if name != "valueAttachment"}
    header, body = (point.get("header") or {}, point["body"]) if "body" in point else ({}, point)
    return {"resource_type": code, "code": code, **dict(_paths(rest)), **dict(_paths(header)), **dict(_paths(body))}


def _paths(tree: Json | Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves as jupyterhealth-client names them: lists are walked too, by number."""
    for name, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
        path = f"{prefix}_{name}" if prefix else str(name)
        if isinstance(value, Mapping | list):
            yield from _paths(value, path)
        else:
            yield path, value
