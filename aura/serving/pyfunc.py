"""The model that is served: raw RR intervals in, the probability of a seizure per window out.

It is kept as plain data, a skops file and a JSON file, which MLflow loads with `_load_pyfunc` from the copy of this
package beside them. Loading it runs no pickle.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from aura.detection.detector import SeizureDetector, load_detector
from aura.serving.answers import in_columns, in_rows
from aura.serving.requests import longer_step_s, orient_of, series_of

if TYPE_CHECKING:
    from aura.serving.metrics import Measured

# MLflow tells the process of a model server so which model it is to load.
IN_SERVER = "__pyfunc_model_path__"


class Pyfunc:
    """A detector as MLflow's pyfunc calls it.

    Parameters
    ----------
    detector
        What answers.
    """

    def __init__(self, detector: SeizureDetector) -> None:
        self.detector = detector

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame | dict[str, list[Any]]:
        """Give the probability of a seizure for each window.

        Parameters
        ----------
        model_input
            A row per RR interval: ``t_s``, time of its second beat in seconds from the start of the recording;
            ``rr_ms``, its length in ms; optionally ``recording``, where there are several.
        params
            ``step_s``: time from one window to the next, a multiple of that of the model, which it is where nothing
            is said; up to the shortest window. Windows and their probabilities are the same, only fewer.
            ``orient``: ``list`` has the columns one after the other, which is half of the work to write as JSON.

        Returns
        -------
        DataFrame, or dict of lists for ``list``
            A row per window: ``recording`` where it was given, ``t_s`` of the window's end, ``probability``,
            and ``reason``, why the probability is missing where it is.

        Raises
        ------
        MlflowException
            INVALID_PARAMETER_VALUE (HTTP 400) with a sentence, for input that is no RR series.
        """
        params = params or {}
        orient, step_s = orient_of(params), params.get("step_s")
        detector = self.detector
        # Null is the step of the model.
        if step_s is not None:
            spec = detector.spec
            detector = replace(detector, spec=replace(spec, step_s=longer_step_s(step_s, spec)))
        parts = []
        for recording, rr in series_of(model_input, step_s=detector.spec.step_s):
            part = detector.predict(rr)
            if recording is not None:
                part.insert(0, "recording", recording)
            parts.append(part)
        answer = pd.concat(parts, ignore_index=True)
        return in_columns(answer) if orient == "list" else answer


class Served:
    """A detector as MLflow's server asks it, whose answers it writes as JSON."""

    def __init__(self, detector: SeizureDetector) -> None:
        self.detector, self._pyfunc = detector, Pyfunc(detector)

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]] | dict[str, list[Any]]:
        """Answer as `Pyfunc.predict` does, a row after the other or a column after the other."""
        answer = self._pyfunc.predict(model_input, params)
        return in_rows(answer) if isinstance(answer, pd.DataFrame) else answer


def _load_pyfunc(path: str) -> "Pyfunc | Served | Measured":
    """Load the model for MLflow; in a server it is `Served`, and measured where AURA_METRICS_PORT says so."""
    detector = load_detector(Path(path))
    if IN_SERVER not in os.environ:
        return Pyfunc(detector)
    if not os.environ.get("AURA_METRICS_PORT"):
        return Served(detector)
    from aura.serving import metrics

    return metrics.Measured(Served(detector), metrics.Meters(metrics.about(Path(path))))
