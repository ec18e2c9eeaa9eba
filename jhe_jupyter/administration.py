"""What only a superuser keeps: practitioners' accounts, data sources and clients, one method per endpoint."""

from __future__ import annotations

from collections.abc import Generator

from .connection import Json
from .fhir import FHIRClient


class Administration(FHIRClient):
    """The part of the client that a superuser needs; everybody may list data sources and clients."""

    def list_practitioners(self) -> Generator[Json]:
        """Yield every practitioner's account: `id, email, firstName, lastName, disabled`, …"""
        return self.list_api("practitioners")

    def post_practitioner(self, body: Json) -> Json:
        """Create an account, `{email, firstName, lastName}`, and return it."""
        return self._write("POST", "practitioners", body)

    def patch_practitioner(self, id: int, body: Json) -> Json:
        """Change what `body` names (`disabled` locks somebody out) and return the account."""
        return self._write("PATCH", f"practitioners/{id}", body)

    def delete_practitioner(self, id: int) -> None:
        """Delete an account; what it did stays in the audit."""
        self._write("DELETE", f"practitioners/{id}")

    def list_data_sources(self) -> Generator[Json]:
        """Yield the registered devices with the codes they can send."""
        return self.list_api("data_sources")

    def post_data_source(self, body: Json) -> Json:
        """Register a data source, `{name, type}`, and return it."""
        return self._write("POST", "data_sources", body)

    def patch_data_source(self, id: int, body: Json) -> Json:
        """Change what `body` names and return the data source."""
        return self._write("PATCH", f"data_sources/{id}", body)

    def delete_data_source(self, id: int) -> None:
        """Delete a data source that nothing came from yet."""
        self._write("DELETE", f"data_sources/{id}")

    def list_clients(self) -> Generator[Json]:
        """Yield the apps patients can be invited to."""
        return self.list_api("clients")

    def post_client(self, body: Json) -> Json:
        """Register an app, `{name, invitationUrl, redirectUris, confidential}`; its secret is answered this once."""
        return self._write("POST", "clients", body)

    def patch_client(self, id: int, body: Json) -> Json:
        """Change what `body` names and return the app."""
        return self._write("PATCH", f"clients/{id}", body)

    def delete_client(self, id: int) -> None:
        """Delete an app; who came by it is signed out."""
        self._write("DELETE", f"clients/{id}")
