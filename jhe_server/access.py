"""Who may do what: one row per verb, read aloud as "a member may create patients"; a verb without a row is denied.

Words: an *actor* is who is asking, resolved once per request. A practitioner holds one role per organization,
viewer ⊂ member ⊂ manager; nothing is inherited down the organization tree. A superuser may do everything a manager
may, everywhere, plus the rows marked SUPERUSER. A patient may do the rows marked `patient`, for themselves only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import Forbidden

ROLES = ("viewer", "member", "manager")
VIEWER = frozenset(ROLES)
MEMBER = frozenset(("member", "manager"))
MANAGER = frozenset(("manager",))
SUPERUSER: frozenset[str] = frozenset()
NOBODY = SUPERUSER  # beside `patient`: not even a superuser


@dataclass(frozen=True)
class Rule:
    """The roles that may; whether a patient may for themselves, one without any role, anybody at all; the sentence."""

    roles: frozenset[str]
    sentence: str
    patient: bool = False
    known: bool = False
    public: bool = False


RULES: dict[str, Rule] = {
    # patients
    "patients.search": Rule(VIEWER, "list the patients of one's organizations"),
    "patients.get": Rule(VIEWER, "read a patient of one's organizations", patient=True),
    "patients.me": Rule(NOBODY, "read one's own record", patient=True),
    "patients.fhir_search": Rule(VIEWER, "search the patients of one's organizations as FHIR Patients", patient=True),
    "patients.fhir_get": Rule(VIEWER, "read a patient of one's organizations as a FHIR Patient", patient=True),
    "patients.create": Rule(MEMBER, "create a patient in the organization"),
    "patients.update": Rule(MEMBER, "change a patient of the organization"),
    "patients.lookup": Rule(MEMBER, "look a patient up by exact e-mail across all organizations"),
    "patients.add_to_organization": Rule(MEMBER, "add an existing patient to the organization"),
    "departures.preview_patient": Rule(MEMBER, "see what removing a patient would take"),
    "departures.remove_patient": Rule(MEMBER, "remove a patient from the organization"),
    "imports.run": Rule(MEMBER, "import patients into the organization"),
    # invitations
    "invitations.link": Rule(MEMBER, "issue an invitation link for a patient"),
    "invitations.issue": Rule(MEMBER, "issue an invitation for a patient and a client"),
    "invitations.search": Rule(MEMBER, "list a patient's invitations"),
    "invitations.cancel": Rule(MEMBER, "cancel an invitation"),
    "invitations.clients": Rule(VIEWER, "see the clients of a patient's studies", patient=True),
    "redemptions.redeem": Rule(NOBODY, "exchange an invitation's secret for an authorization code", public=True),
    "redemptions.redeem_sent": Rule(NOBODY, "the same, the secret in the body", public=True),
    "followup.search": Rule(VIEWER, "see who is invited, connected, consented and uploading"),
    # studies
    "studies.search": Rule(VIEWER, "list the studies of one's organizations"),
    "studies.get": Rule(VIEWER, "read a study"),
    "studies.fhir_search": Rule(VIEWER, "search the studies of one's organizations as FHIR Groups", patient=True),
    "studies.fhir_get": Rule(VIEWER, "read a study as a FHIR Group", patient=True),
    "studies.create": Rule(MEMBER, "create a study in the organization"),
    "studies.update": Rule(MEMBER, "change a study"),
    "studies.set_policy": Rule(MANAGER, "set what happens to data after a withdrawal"),
    "departures.remove_study": Rule(MEMBER, "delete a study"),
    "patients.of_study": Rule(VIEWER, "list the patients of a study"),
    "studies.enroll": Rule(MEMBER, "enrol patients in a study"),
    "studies.unenroll": Rule(MEMBER, "remove patients from a study"),
    "studies.codes": Rule(VIEWER, "list the codes a study requests"),
    "studies.request_code": Rule(MEMBER, "request a code for a study"),
    "studies.drop_code": Rule(MEMBER, "stop requesting a code"),
    "studies.data_sources": Rule(VIEWER, "list the data sources of a study"),
    "studies.add_data_source": Rule(MEMBER, "add a data source to a study"),
    "studies.remove_data_source": Rule(MEMBER, "remove a data source from a study"),
    "studies.clients": Rule(VIEWER, "list the clients of a study"),
    "studies.add_client": Rule(MEMBER, "add a client to a study"),
    "studies.remove_client": Rule(MEMBER, "remove a client from a study"),
    # consents
    "consents.of_patient": Rule(VIEWER, "read a patient's consents, today's or as of a time", patient=True),
    "consents.of_study": Rule(VIEWER, "read a study's consents, today's or as of a time"),
    "consents.answer": Rule(MEMBER, "set a consent on behalf of a patient", patient=True),
    "consents.change": Rule(MEMBER, "change a consent on behalf of a patient", patient=True),
    "consents.clear": Rule(MEMBER, "make a consent pending again", patient=True),
    "consents.withdraw": Rule(MEMBER, "withdraw everything from a study on behalf of a patient", patient=True),
    "consents.history": Rule(VIEWER, "read the history of a patient's answers", patient=True),
    # observations
    "observations.search": Rule(VIEWER, "read observations, where the patient consents", patient=True),
    "observations.get": Rule(VIEWER, "read one observation, where the patient consents", patient=True),
    "observations.fhir_search": Rule(VIEWER, "search observations as FHIR, where the patient consents", patient=True),
    "observations.fhir_get": Rule(VIEWER, "read one observation as FHIR, where the patient consents", patient=True),
    "uploads.create": Rule(MEMBER, "upload an observation on behalf of a patient", patient=True),
    "uploads.create_many": Rule(MEMBER, "upload a Bundle of observations on behalf of patients", patient=True),
    "observations.remove": Rule(MANAGER, "delete an observation"),
    # organizations and people
    "organizations.search": Rule(VIEWER, "list one's organizations", known=True),
    "organizations.get": Rule(VIEWER, "read an organization"),
    "organizations.fhir_search": Rule(VIEWER, "search one's organizations as FHIR", patient=True, known=True),
    "organizations.fhir_get": Rule(VIEWER, "read an organization as FHIR", patient=True),
    "organizations.tree": Rule(VIEWER, "read an organization with all below it"),
    "organizations.types": Rule(VIEWER, "list the types of organizations", known=True),
    "organizations.users": Rule(VIEWER, "list the people of an organization"),
    "studies.of_organization": Rule(VIEWER, "list the studies of an organization"),
    "organizations.create": Rule(MANAGER, "create a sub-organization"),
    "organizations.create_top_level": Rule(SUPERUSER, "create a top-level organization"),
    "organizations.update": Rule(MANAGER, "change an organization, as manager of it or its parent"),
    "departures.remove_organization": Rule(MANAGER, "delete an organization, as manager of it or its parent"),
    "organizations.set_role": Rule(MANAGER, "give a practitioner a role in the organization"),
    "organizations.remove_user": Rule(MANAGER, "take a practitioner's role in the organization away"),
    "colleagues.invite": Rule(MANAGER, "invite a colleague by e-mail: an account, a role, a link to set a password"),
    "profile.get": Rule(VIEWER, "read one's own profile", patient=True, known=True),
    "organizations.colleagues": Rule(VIEWER, "list the people of one's organizations"),
    "organizations.fhir_colleagues": Rule(
        VIEWER, "search the people of one's organizations as FHIR Practitioners", patient=True
    ),
    "organizations.fhir_colleague": Rule(VIEWER, "read one of the people of one's organizations as FHIR"),
    "people.find": Rule(MANAGER, "find a practitioner by exact e-mail"),
    "people.practitioners": Rule(SUPERUSER, "list all practitioners"),
    "people.practitioner": Rule(SUPERUSER, "read a practitioner's account"),
    "people.create_practitioner": Rule(SUPERUSER, "create a practitioner's account"),
    "colleagues.update_practitioner": Rule(SUPERUSER, "change a practitioner's account"),
    "departures.remove_practitioner": Rule(SUPERUSER, "delete a practitioner's account"),
    "practitioner_clients.search": Rule(VIEWER, "list one's own keys for scripts", known=True),
    "practitioner_clients.create": Rule(VIEWER, "make a key for scripts that act as oneself", known=True),
    "practitioner_clients.remove": Rule(VIEWER, "delete one of one's own keys", known=True),
    "oauth.userinfo": Rule(VIEWER, "read who one's token belongs to", patient=True, known=True),
    # data sources, codes and clients
    "devices.search": Rule(VIEWER, "list data sources", patient=True, known=True),
    "devices.get": Rule(VIEWER, "read a data source", patient=True, known=True),
    "devices.fhir_search": Rule(VIEWER, "search data sources as FHIR Devices", patient=True, known=True),
    "devices.fhir_get": Rule(VIEWER, "read a data source as a FHIR Device", patient=True, known=True),
    "devices.codes": Rule(VIEWER, "list the codes that can be requested", patient=True, known=True),
    "devices.supported_codes": Rule(VIEWER, "list the codes a data source can send", patient=True, known=True),
    "devices.create": Rule(SUPERUSER, "create a data source"),
    "devices.update": Rule(SUPERUSER, "change a data source"),
    "departures.remove_data_source": Rule(SUPERUSER, "delete a data source"),
    "devices.support_code": Rule(SUPERUSER, "say that a data source can send a code"),
    "devices.unsupport_code": Rule(SUPERUSER, "say that a data source no longer sends a code"),
    "oauth_clients.search": Rule(VIEWER, "list clients", known=True),
    "oauth_clients.get": Rule(VIEWER, "read a client", known=True),
    "oauth_clients.data_sources": Rule(VIEWER, "list a client's data sources", known=True),
    "oauth_clients.create": Rule(SUPERUSER, "create a client"),
    "oauth_clients.update": Rule(SUPERUSER, "change a client"),
    "departures.remove_client": Rule(SUPERUSER, "delete a client"),
    "oauth_clients.add_data_source": Rule(SUPERUSER, "add a data source to a client"),
    "oauth_clients.remove_data_source": Rule(SUPERUSER, "remove a data source from a client"),
    # the record of what happened
    "audit.search": Rule(MANAGER, "read the audit of one's organizations"),
    "changes.feed": Rule(VIEWER, "follow what has changed", patient=True, known=True),
}


@dataclass(frozen=True)
class Actor:
    """Who is asking.

    >>> megan = Actor(10003, roles={20003: "member"})
    >>> megan.may("patients.create", 20003), megan.may("patients.create", 20007)
    (True, False)
    >>> sorted(megan.organizations("patients.search"))
    [20003]
    """

    user_id: int
    is_superuser: bool = False
    patient_id: int | None = None
    roles: Mapping[int, str] = field(default_factory=dict)
    via: str = "token"
    family_id: int | None = None  # of tokens: what an app was given; None for one that no app asked for

    @property
    def scope(self) -> tuple[object, ...]:
        """All that decides what this actor may see, to remember an answer by."""
        return self.user_id, self.is_superuser, self.patient_id, tuple(sorted(self.roles.items()))

    def may(self, verb: str, organization_id: int | None = None) -> bool:
        """Whether a role allows the verb: in that organization, or (without one) in any."""
        rule = RULES.get(verb)
        if rule is None or self.patient_id is not None:
            return False
        if self.is_superuser:
            return bool(rule.roles) or not rule.patient  # a patient's own row that names no role is nobody else's
        if organization_id is not None:
            return self.roles.get(organization_id) in rule.roles
        return any(role in rule.roles for role in self.roles.values())

    def is_self(self, verb: str, patient_id: int) -> bool:
        """Whether this is the patient in question and patients may do the verb for themselves."""
        rule = RULES.get(verb)
        return rule is not None and rule.patient and self.patient_id == patient_id

    def require(self, verb: str, organization_id: int | None = None) -> None:
        if not self.may(verb, organization_id):
            raise Forbidden()

    def knock(self, verb: str) -> None:
        """The first question of every request: is there any way at all this actor could do the verb?"""
        rule = RULES.get(verb)
        if self.patient_id is not None:
            welcome = rule is not None and rule.patient
        else:
            welcome = rule is not None and (rule.known or self.may(verb))
        if not welcome:
            raise Forbidden()

    def organizations(self, verb: str) -> frozenset[int] | None:
        """The organizations in which the verb is allowed; None means every one (a superuser)."""
        if self.is_superuser:
            return None
        rule = RULES.get(verb)
        if rule is None:
            return frozenset()
        return frozenset(organization for organization, role in self.roles.items() if role in rule.roles)

    def allowed(self, organization_id: int) -> list[str]:
        """The verbs a role allows in one organization, for a panel that shows what its user may do."""
        return [verb for verb in RULES if self.may(verb, organization_id)]
