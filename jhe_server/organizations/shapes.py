"""How organizations look on the wire, and what may be sent and asked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from ..people import Person
from ..shapes import Body, Id, Listing, Name, Shape
from .rows import ROOT

# FHIR R5 organization-type (http://terminology.hl7.org/CodeSystem/organization-type) and the Exchange's own `root`,
# `laboratory`.
TYPES = {
    "prov": "Healthcare Provider",
    "dept": "Hospital Department",
    "team": "Organizational team",
    "govt": "Government",
    "ins": "Insurance Company",
    "pay": "Payer",
    "edu": "Educational Institute",
    "reli": "Religious Institution",
    "crs": "Clinical Research Sponsor",
    "cg": "Community Group",
    "bus": "Non-Healthcare Business or Corporation",
    "laboratory": "Laboratory",
    "other": "Other",
}
Type = Literal["prov", "dept", "team", "govt", "ins", "pay", "edu", "reli", "crs", "cg", "bus", "laboratory", "other"]


class NewOrganization(Body):
    name: Name
    type: Type
    part_of: Id = ROOT


class OrganizationChange(Body):
    name: Name | None = None
    type: Type | None = None
    part_of: Id | None = None


class RoleOf(Body):
    """The public Exchange misspells the role's name; its clients must work here, so both spellings are taken."""

    jhe_user_id: Id
    organization_practitioner_role: Literal["viewer", "member", "manager"]

    @model_validator(mode="before")
    @classmethod
    def _partitioner(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        spelled = {"organizationPartitionerRole", "organization_partitioner_role"}
        return {("organizationPractitionerRole" if key in spelled else key): value for key, value in sent.items()}


class UserOf(Body):
    jhe_user_id: Id


class OrganizationSearch(Listing):
    part_of: Id | None = None
    search: Name | None = None


class PractitionerRole(Shape):
    id: int
    email: str
    role: str


class Organization(Shape):
    """An organization, the caller's role in it, and the organizations below it that the caller may see."""

    id: int
    name: str
    type: str
    part_of: int | None
    current_user_role: str | None = None
    children: list[Organization] = []


class OrganizationDetail(Organization):
    practitioners: list[PractitionerRole] = []


class OrganizationUser(Person):
    role: str
