"""A copy of the project to which a test adds files, as a contributor would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from aura.core.paths import CONF, PACKAGE, SHIPPED


def copy_checkout(folder: Path) -> Path:
    """Copy the package and its configuration."""
    shutil.copytree(PACKAGE, folder / "aura", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CONF, folder / "conf", symlinks=True)
    shutil.copytree(SHIPPED / "experiments", folder / "experiments")
    return folder


def run_in_checkout(checkout: Path, code: str) -> str:
    """Run Python code with the package of a checkout; return its standard output, or raise with its error."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
