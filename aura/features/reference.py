"""The hrv-analysis library, imported when it is needed (it takes seconds)."""

import warnings
from functools import cache
from typing import Any


@cache
def hrvanalysis() -> Any:
    """Import hrv-analysis, without the deprecation warning of a library under it (nolds on Python 3.11)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
        import hrvanalysis as library
    return library
