"""The console: every screen under one row of tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .administration import RegistersScreen
from .followup import FollowUpScreen
from .importing import ImportScreen
from .observations import ObservationsScreen
from .organizations import OrganizationsScreen
from .panel import Panel
from .patients import PatientsScreen
from .review import ReviewScreen
from .studies import StudiesScreen

if TYPE_CHECKING:
    from ..exchange import Exchange

SCREENS = (
    PatientsScreen,
    ImportScreen,
    StudiesScreen,
    OrganizationsScreen,
    ObservationsScreen,
    FollowUpScreen,
    ReviewScreen,
    RegistersScreen,
)


class Console(Panel):
    """Patients, import, studies, organizations, observations, follow-up and access review in one widget."""

    def __init__(self, exchange: Exchange, organization: Any = None, study: Any = None) -> None:
        super().__init__(exchange, SCREENS, organization, study)
