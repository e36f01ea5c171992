"""On what something was measured."""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import joblib
import psutil

from aura import __version__
from aura.core.paths import CONF, PACKAGE

# That do the work, or most of the start.
LIBRARIES = ("mlflow", "numba", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "sleepecg")


def version_of(tags: Mapping[str, str]) -> str:
    """Name a version of the code.

    Parameters
    ----------
    tags
        Of the run: commit, and whether the code was changed since; then a digest tells one change from another.
    """
    commit = tags.get("aura.git_commit", __version__)[:9]
    return commit if tags.get("aura.git_dirty") == "false" else f"{commit} + {_code_digest()}"


def _code_digest() -> str:
    """Short name for what the code and its configuration say now."""
    # An installation has the configuration inside the package.
    paths = {path for folder in (PACKAGE, CONF) for path in folder.rglob("*")}
    files = sorted(path for path in paths if path.suffix in (".py", ".yaml"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:6]


def facts() -> dict[str, str]:
    """Say what decides how fast it is here; no name of the machine, which can tell whose it is."""
    return {
        "cpu": _cpu(),
        "cores": str(joblib.cpu_count()),
        "memory_bytes": str(psutil.virtual_memory().total),
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _cpu() -> str:
    """Model of the processor."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    # ARM names none.
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
