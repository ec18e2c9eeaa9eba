"""The colours of the pictures: each stands out from white and from near-black pages, and means one thing throughout."""

from __future__ import annotations

GLUCOSE, TARGET = "#2f7fd1", "#2f8f5b"
BANDS = {"very_low": "#a3242b", "low": "#d9534f", "target": TARGET, "high": "#f0b13c", "very_high": "#c2621a"}
DARK_TEXT, LIGHT_TEXT = "#1b1b1b", "white"  # on the bars themselves, which are the same on every page
SYSTOLIC, DIASTOLIC = "#d0568f", "#2f7fd1"
HEART, STEPS, UPLOADS = "#d0568f", "#2f8f5b", "#2f7fd1"
STATES = {"granted": (TARGET, "✓"), "declined": ("#d9534f", "✕"), "pending": ("#8a8a8a", "…")}
NIGHT = "#8a8a8a"
