"""Organizations: the tree, who works in each with which role, and what a caller may see of it.

rows        the organization, the role of a practitioner in it
reading     what a caller may see: searched, one by one, the tree
writing     made, changed, moved
roles       who works there: given a role, another one, none
as_fhir     organizations and their people as FHIR Organizations and Practitioners
shapes      how all of it looks on the wire
"""

from __future__ import annotations

from .as_fhir import ORGANIZATION, PRACTITIONER, fhir_colleague, fhir_colleagues, fhir_get, fhir_search
from .reading import get, mine, names, row_of, search, shaped, tree, types, visible
from .roles import LAST_MANAGER, assign, colleagues, keep_a_manager, remove_user, roles_of, set_role, users
from .rows import ROOT, MembershipRow, OrganizationRow
from .shapes import (
    NewOrganization,
    Organization,
    OrganizationChange,
    OrganizationDetail,
    OrganizationSearch,
    RoleOf,
    UserOf,
)
from .writing import create, manages, reach, to_write, update

__all__ = [
    "LAST_MANAGER",
    "ORGANIZATION",
    "PRACTITIONER",
    "ROOT",
    "MembershipRow",
    "NewOrganization",
    "Organization",
    "OrganizationChange",
    "OrganizationDetail",
    "OrganizationRow",
    "OrganizationSearch",
    "RoleOf",
    "UserOf",
    "assign",
    "colleagues",
    "create",
    "fhir_colleague",
    "fhir_colleagues",
    "fhir_get",
    "fhir_search",
    "get",
    "keep_a_manager",
    "manages",
    "mine",
    "names",
    "reach",
    "remove_user",
    "roles_of",
    "row_of",
    "search",
    "set_role",
    "shaped",
    "to_write",
    "tree",
    "types",
    "update",
    "users",
    "visible",
]
