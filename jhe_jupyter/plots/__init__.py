"""Pictures of what was measured and what was consented to: a frame in, a figure out, nothing fetched, nothing global.

A frame that cannot carry a picture is refused with a sentence that says what is missing and what to do: a wrong picture
persuades better than none. Each function answers a `Chart` that a notebook shows by itself; those of one panel take
`ax=` and then draw on it and answer it.
"""

from __future__ import annotations

from .blood_pressure import blood_pressure_series
from .consents import consent_map
from .days import glucose_days
from .heart import heart_rate
from .profile import glucose_profile
from .ranges import time_in_range
from .step_count import steps
from .uploads import upload_timeline

__all__ = [
    "blood_pressure_series",
    "consent_map",
    "glucose_days",
    "glucose_profile",
    "heart_rate",
    "steps",
    "time_in_range",
    "upload_timeline",
]
