"""A JupyterHub with the JupyterHealth Exchange as its service; `docs/hub.md` goes through it.

What an institution has to decide for itself comes first; the rest is what the Exchange needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

c = get_config()  # type: ignore[name-defined]  # noqa: F821

# ---------------------------------------------------------------- yours
# Where browsers and kernels find this Hub. Kernels look for the Exchange below it.
c.JupyterHub.public_url = "https://hub.example.org/"
# Any authenticator and any spawner will do. Who may sign in is for them to say, not for the Exchange.
c.Authenticator.admin_users = {"grace"}
c.Authenticator.allowed_users = {"grace", "ada", "mary"}
# Groups can come from the authenticator as well (`c.Authenticator.manage_groups`).
c.JupyterHub.load_groups = {
    "cardiology": {"users": ["ada"]},
    "coordinators": {"users": ["mary"]},
}

# ---------------------------------------------------------------- the Exchange
c.JupyterHub.services = [
    {
        "name": "jhe",
        "url": "http://127.0.0.1:10101",  # reached by the Hub's proxy alone
        "command": [sys.executable, "-m", "jhe_server", f"--config={Path(__file__).parent / 'jupyter_jhe_config.py'}"],
        "oauth_no_confirm": True,  # it is part of this Hub: nobody is asked whether to trust it
    }
]
c.JupyterHub.load_roles = [
    # Browsers (user) and kernels (server) of everybody may reach it; what they may do there, the Exchange decides.
    {"name": "user", "scopes": ["self", "access:services!service=jhe"]},
    {
        "name": "server",
        "scopes": ["users:activity!user", "access:servers!server", "access:services!service=jhe"],
    },
    # It may see who there is: so it notices within a minute when somebody has been deleted.
    {"name": "jhe", "services": ["jhe"], "scopes": ["read:users"]},
]


# ---------------------------------------------------------------- optional
def land(spawner: Any) -> None:
    """Coordinators, who write no code, land in the portal of their own server; everybody else in JupyterLab."""
    if "coordinators" in {group.name for group in spawner.user.groups}:
        spawner.default_url = "/jhe/portal"


c.Spawner.pre_spawn_hook = land
