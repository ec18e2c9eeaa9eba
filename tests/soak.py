"""`python -m tests.soak [faults matrix openapi disk load]`: what takes too long for every day, or parts of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
FAULTS = ["tests/test_kill.py", *sorted(f"tests/{file.name}" for file in HERE.glob("test_faults_*.py"))]
# Part → what the environment says more, and the command.
PARTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "faults": ({"JHE_MOMENTS": "50"}, ["-m", "pytest", *FAULTS]),
    "matrix": ({"JHE_MATRIX": "whole"}, ["-m", "pytest", "-q", "tests/test_access_postgresql.py"]),
    "openapi": ({"JHE_HUNT": "10"}, ["-m", "pytest", "-q", "tests/test_openapi.py"]),
    "disk": ({}, ["-m", "pytest", "tests/soak_on_disk.py"]),
    "load": ({}, ["benchmarks/load.py"]),
}


def run(part: str) -> bool:
    more, command = PARTS[part]
    print(f"— {part}: {' '.join([*(f'{key}={value}' for key, value in more.items()), *command])}", flush=True)
    began = time.monotonic()
    status = subprocess.run([sys.executable, *command], cwd=ROOT, env=os.environ | more, check=False).returncode
    print(f"— {part} {'holds' if status == 0 else 'fails'} after {time.monotonic() - began:.0f} s", flush=True)
    return status == 0


def main(parts: list[str]) -> int:
    """Run every part, whatever became of the ones before; 0 where all of them hold."""
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"python -m tests.soak [{' '.join(PARTS)}]")
    held = {part: run(part) for part in parts or PARTS}
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
