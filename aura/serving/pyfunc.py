"""The served model: RR intervals in, the seizure probability of each window out."""

from dataclasses import replace
from typing import Any

import pandas as pd

from aura.detection.detector import SeizureDetector
from aura.serving.answers import encode_columns, encode_rows
from aura.serving.requests import check_step_s, read_orient, read_series


class Pyfunc:
    """A detector with the interface of MLflow's pyfunc.

    Parameters
    ----------
    detector
        Detector that computes the probabilities.
    """

    def __init__(self, detector: SeizureDetector) -> None:
        self.detector = detector

    @property
    def python_model(self) -> SeizureDetector:
        """The detector, for ``unwrap_python_model()`` of MLflow."""
        return self.detector

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame | dict[str, list[Any]]:
        """Compute the seizure probability of each window.

        Parameters
        ----------
        model_input
            A row per RR interval: ``t_s``, time of its second beat in seconds from the start of the recording;
            ``rr_ms``, its length in ms; and ``recording``, needed only for several recordings.
        params
            ``step_s``: time from one window to the next in seconds, a multiple of the step of the model, at most the
            shortest window; by default the step of the model. A longer step returns fewer of the same windows.
            ``orient``: ``records`` for rows (the default), ``list`` for columns, which are encoded twice as fast.

        Returns
        -------
        DataFrame, or dict of lists for ``list``
            A row per window: ``recording`` if it was given; ``t_s``, the end of the window; ``probability``; and
            ``reason``, why the probability is missing.

        Raises
        ------
        MlflowException
            INVALID_PARAMETER_VALUE (HTTP 400) with the reason, if the input is not an RR series.
        """
        params = params or {}
        orient, step_s = read_orient(params), params.get("step_s")
        detector = self.detector
        # Null means the step of the model.
        if step_s is not None:
            spec = detector.spec
            detector = replace(detector, spec=replace(spec, step_s=check_step_s(step_s, spec)))
        parts = []
        for recording, rr in read_series(model_input, step_s=detector.spec.step_s):
            part = detector.predict(rr)
            if recording is not None:
                part.insert(0, "recording", recording)
            parts.append(part)
        predictions = pd.concat(parts, ignore_index=True)
        return encode_columns(predictions) if orient == "list" else predictions


class Served:
    """A detector in a model server of MLflow, which writes its answers as JSON."""

    def __init__(self, detector: SeizureDetector) -> None:
        self.detector, self._pyfunc = detector, Pyfunc(detector)

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]] | dict[str, list[Any]]:
        """Predict as `Pyfunc.predict` does, and encode the predictions by row or by column."""
        answer = self._pyfunc.predict(model_input, params)
        return encode_rows(answer) if isinstance(answer, pd.DataFrame) else answer
