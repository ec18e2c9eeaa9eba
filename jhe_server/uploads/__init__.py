"""Uploads: FHIR Observations on their way in, one or a Bundle: what their text says, then what the store knows."""

from __future__ import annotations

from .accepting import create, create_many
from .reading import AT_ONCE, read_bundle, read_one

__all__ = ["AT_ONCE", "create", "create_many", "read_bundle", "read_one"]
