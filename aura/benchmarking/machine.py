"""Describe the machine and the software of a measurement."""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import joblib
import psutil

from aura import __version__
from aura.core.paths import CONF, PACKAGE

# Libraries that do the work, or that dominate the time to start.
LIBRARIES = ("mlflow", "numba", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "sleepecg")


def name_version(tags: Mapping[str, str]) -> str:
    """Name the version of the code: its commit, and a digest of the code if it was changed since.

    Parameters
    ----------
    tags
        Tags of the run, with the commit and whether the code was changed.
    """
    commit = tags.get("aura.git_commit", __version__)[:9]
    return commit if tags.get("aura.git_dirty") == "false" else f"{commit} + {_code_digest()}"


def _code_digest() -> str:
    """Return a short digest of the code and its configuration."""
    # In an installation the configuration is inside the package.
    paths = {path for folder in (PACKAGE, CONF) for path in folder.rglob("*")}
    files = sorted(path for path in paths if path.suffix in (".py", ".yaml"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:6]


def describe_machine() -> dict[str, str]:
    """Describe what decides the speed of this machine; not its name, which may identify its owner."""
    return {
        "cpu": _name_processor(),
        "cores": str(joblib.cpu_count()),
        "memory_bytes": str(psutil.virtual_memory().total),
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _name_processor() -> str:
    """Return the model of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    # On ARM the file names no model.
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
