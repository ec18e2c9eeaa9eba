"""The demo study: twenty people who never lived, two weeks of what their bodies did, and the study that follows them.

`people` says who they are, `bodies` what was measured, `study` how it gets into a clinic.
"""

from __future__ import annotations

from .people import DAYS, SEED, STUDY, Participant, data_points, participants
from .study import load

__all__ = ["DAYS", "SEED", "STUDY", "Participant", "data_points", "load", "participants"]
