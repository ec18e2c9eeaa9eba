"""The Exchange itself, as the service of a JupyterHub. Keep this file readable by the service's account only."""

from __future__ import annotations

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.ExchangeApp.database = "postgresql://jhe@localhost/jhe"
c.ExchangeApp.key_file = "/var/lib/jhe/signing-key.json"  # keep it, and do not keep it beside the database
c.ExchangeApp.outbox = "/var/lib/jhe/outbox"

# Hub user `ada` has this address, and whoever has an account with it is `ada`. Leave it out where the Hub cannot
# vouch for addresses: then every Hub user starts with an account of their own, without one.
c.ExchangeApp.hub_email = "{name}@example.org"
# In these organizations the Hub's groups decide who works there, and as what.
c.ExchangeApp.hub_groups = {
    "cardiology": {20005: "member"},
    "coordinators": {20005: "manager"},
}
