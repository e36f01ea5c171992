"""A detector over HTTP."""

from typing import Any


def _load_pyfunc(path: str) -> Any:
    """Load a version that was registered when this package was a single module."""
    from aura.serving import pyfunc

    return pyfunc._load_pyfunc(path)
