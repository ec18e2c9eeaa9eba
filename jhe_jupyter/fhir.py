"""The FHIR side of the client: resources searched, read and uploaded as they are, named as in jupyterhealth-client."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import Enum
from typing import Any

from .connection import Connection, Json

GROUP = "patient._has:Group:member:_id"  # the study a patient is enrolled in
SOURCES = "https://jupyterhealth.org/fhir/fhir-source/"


class FHIRClient(Connection):
    """A connection with the calls of `/FHIR/R5`."""

    def list_observations(
        self,
        patient_id: int | None = None,
        study_id: int | None = None,
        code: Enum | str | None = None,
        limit: int | None = None,
    ) -> Generator[Json]:
        """Yield FHIR Observation resources, newest first; all of them unless `limit` says otherwise.

        `code` is a bare code (`omh:blood-glucose:4.0`, of any system) or `system|code`.
        """
        params = {
            "patient": patient_id,
            GROUP: study_id,
            "code": code.value if isinstance(code, Enum) else code,
        }
        return self.search_fhir("Observation", params, limit=limit)

    def get_fhir(
        self,
        resource_type: str,
        id: int | str | None = None,
        *,
        patient_id: int | None = None,
        study_id: int | None = None,
        fhir_source: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Json:
        """One FHIR resource by id, or without one the first Bundle of a search."""
        path = resource_type if id is None else f"{resource_type}/{id}"
        found: Json = self.api_request(path, fhir=True, params=_search(patient_id, study_id, fhir_source, params))
        return found

    def list_fhir(
        self,
        resource_type: str,
        *,
        patient_id: int | None = None,
        study_id: int | None = None,
        fhir_source: str | None = None,
        limit: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Generator[Json]:
        """Yield the resources of a FHIR type, of a patient, of a study's patients, or from one source."""
        return self.search_fhir(resource_type, _search(patient_id, study_id, fhir_source, params), limit=limit)

    def get_fhir_capability_statement(self) -> Json:
        """What the FHIR side of this Exchange can do."""
        return self.get_fhir("metadata")

    def list_fhir_resource_types(self) -> list[str]:
        """The FHIR resource types of this Exchange."""
        rest = self.get_fhir_capability_statement()["rest"]
        return [resource["type"] for server in rest for resource in server["resource"]]

    def post_observation(self, resource: Json) -> Json:
        """Upload one FHIR Observation and return it as stored."""
        return self._write("POST", "Observation", resource, fhir=True)

    def post_bundle(self, bundle: Json, *, repeatable: bool = False) -> Json:
        """Upload a batch or transaction Bundle and return the response Bundle.

        `repeatable` where every entry has an identifier: sent again after a lost connection, it doubles nothing.
        """
        return self._write("POST", "", bundle, fhir=True, repeatable=repeatable)

    def post_search(self, resource_type: str, params: Mapping[str, Any]) -> list[Json]:
        """The first page of a FHIR search whose parameters are too long, or too private, for an address."""
        path = f"{resource_type}/_search"
        bundle = self.api_request(path, method="POST", fhir=True, data=dict(params), repeatable=True)
        return [entry["resource"] for entry in bundle.get("entry") or []]


def _search(patient_id: int | None, study_id: int | None, source: str | None, params: Mapping[str, Any] | None) -> Json:
    """FHIR search parameters; `imported` means every source but the Exchange's own apps."""
    below = SOURCES if source == "imported" else None
    exact = None if source in (None, "imported") else source if "://" in str(source) else f"{SOURCES}{source}"
    named = {
        GROUP: study_id,
        "patient": patient_id,
        "_source:below": below,
        "_source": exact,
    }
    return {**(params or {}), **{name: value for name, value in named.items() if value is not None}}
