"""`python -m tests`: every check there is, the quick ones first; arguments are passed on to pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHECKS = (("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy",), ("pytest",))


def main(arguments: list[str]) -> int:
    """Run the checks in turn until one fails; its exit status is ours."""
    for check in CHECKS:
        command = [*check, *(arguments if check == ("pytest",) else ())]
        print(f"— {' '.join(command)}", flush=True)
        status = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
