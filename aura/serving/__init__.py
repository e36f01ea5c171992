"""A detector over HTTP.

A registered model is stored as plain data, a skops file and a JSON file, beside a copy of this package. MLflow loads it
with `_load_pyfunc` of that copy. Loading unpickles nothing.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura.serving.metrics import Measured
    from aura.serving.pyfunc import Pyfunc, Served

# Environment variable by which MLflow tells a model server which model to load.
IN_SERVER = "__pyfunc_model_path__"


def _load_pyfunc(path: str) -> "Pyfunc | Served | Measured":
    """Load the model for MLflow: as `Served` in a server, and as `Measured` if AURA_METRICS_PORT is set."""
    from aura.detection.detector import load_detector
    from aura.serving.pyfunc import Pyfunc, Served

    detector = load_detector(Path(path))
    if IN_SERVER not in os.environ:
        return Pyfunc(detector)
    if not os.environ.get("AURA_METRICS_PORT"):
        return Served(detector)
    from aura.serving.metrics import Measured, Meters, read_labels

    return Measured(Served(detector), Meters(read_labels(Path(path))))
