"""The bar that shows how far a long call has come."""

from __future__ import annotations

import warnings
from typing import Any


def bar(total: int, doing: str, *, shown: bool = True) -> Any:
    """A progress bar over `total` rows, in notebooks as a widget where there are widgets, else as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm complains when ipywidgets is missing; the text bar is as good
        from tqdm.auto import tqdm
    return tqdm(total=total, unit=" rows", desc=doing, disable=not shown)
