"""One recording from RR intervals to a row of features per window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aura.core.parquet import frame_digest
from aura.features import FeatureSpec, extract_features, feature_names
from aura.workspace.features import FeatureWriter
from aura.workspace.prepared import Row, read_recording

# Summary of a recording, and whether it was computed now; None for a recording that killed its worker.
FeatureOutcome = tuple[dict[str, Any] | None, bool]


@dataclass(frozen=True)
class Featurization:
    """Computes the windows of one recording; picklable, so that other processes can do it.

    Parameters
    ----------
    spec
        Which features.
    prepared
        Folder of the prepared corpus.
    writer
        Writes the windows.
    """

    spec: FeatureSpec
    prepared: Path
    writer: FeatureWriter

    def __call__(self, row: Row) -> FeatureOutcome:
        """Compute the windows of a recording, unless its RR intervals are unchanged; annotations do not matter.

        Parameters
        ----------
        row
            Row of the table of prepared recordings.
        """
        recording = read_recording(self.prepared, row)
        seizures = [[seizure.onset_s, seizure.duration_s] for seizure in recording.seizures]
        annotations: dict[str, Any] = {"seizures": None, "rises_bpm": None}
        if recording.is_annotated:
            annotations = {"seizures": seizures, "rises_bpm": recording.rises_bpm.tolist()}
        summary = self.writer.find(recording.name, row["rr_digest"])
        if summary is not None:
            return {**summary, **annotations}, False
        frame = extract_features(recording.rr, self.spec)
        summary = _summarize(recording.name, frame)
        self.writer.write(summary, frame, row["rr_digest"])
        return {**summary, **annotations}, True


def report_death(row: Row) -> FeatureOutcome:
    """Return the outcome of a recording that killed its worker."""
    return None, False


def _summarize(recording: str, frame: pd.DataFrame) -> dict[str, Any]:
    features = frame[feature_names(frame)]
    return {
        "recording": recording,
        "n_windows": len(frame),
        "missing_share": float(features.isna().to_numpy().mean()) if len(frame) else 0.0,
        "coverage": float(frame["coverage"].mean()) if len(frame) else 0.0,
        # The share is NaN in a window without intervals.
        "corrected": float(frame["corrected"].fillna(0.0).mean()) if len(frame) else 0.0,
        "digest": frame_digest(frame),
    }
