"""Panels: the Exchange's verbs for somebody who would rather click; made by `ex.console()` and its kin."""

from __future__ import annotations

from .administration import RegistersScreen
from .console import Console
from .followup import FollowUpScreen
from .importing import ImportScreen, import_panel
from .observations import ObservationsScreen
from .organizations import OrganizationsScreen
from .panel import Panel
from .patients import PatientsScreen
from .review import ReviewScreen
from .studies import StudiesScreen

__all__ = [
    "Console",
    "FollowUpScreen",
    "ImportScreen",
    "ObservationsScreen",
    "OrganizationsScreen",
    "Panel",
    "PatientsScreen",
    "RegistersScreen",
    "ReviewScreen",
    "StudiesScreen",
    "import_panel",
]
