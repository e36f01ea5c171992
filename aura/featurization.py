"""One recording from RR intervals to a row of features and a label per window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aura.features import FeatureSpec, extract, feature_names
from aura.labels import ICTAL, LEFT_OUT, label
from aura.table import digest, frame_digest, read_meta, read_table, write_table
from aura.types import Event, RRSeries


@dataclass(frozen=True)
class Featurization:
    """Compute the windows of one recording; picklable, so that other processes can do it."""

    spec: FeatureSpec
    prepared: Path
    folder: Path
    min_overlap: float
    postictal_s: float

    def __call__(self, recording: str) -> tuple[dict[str, Any] | None, bool]:
        """Row of the table of recordings, and whether it was computed now."""
        source, target = self.prepared / "rr" / f"{recording}.parquet", self.folder / "windows" / f"{recording}.parquet"
        rr_meta = read_meta(source)
        assert rr_meta is not None
        known = rr_meta["recording"]
        meta = read_meta(target)
        if meta is not None and meta.get("source") == known["digest"]:
            return meta["windows"], False

        intervals, _ = read_table(source)
        rr = RRSeries(intervals["t_s"].to_numpy(copy=True), intervals["rr_ms"].to_numpy(copy=True), known["duration_s"])
        frame = extract(rr, self.spec)
        features = frame[feature_names(frame)]
        missing_share = float(features.isna().to_numpy().mean()) if len(frame) else 0.0
        seizures = rr_meta["seizures"]
        # Of a recording that nobody annotated nothing is known, not even that it is interictal.
        frame["label"] = (
            LEFT_OUT
            if seizures is None
            else label(
                frame["t_s"].to_numpy(),
                step_s=self.spec.step_s,
                seizures=[Event(onset_s, duration_s) for onset_s, duration_s in seizures],
                min_overlap=self.min_overlap,
                postictal_s=self.postictal_s,
            )
        )
        row = {
            "recording": recording,
            "n_windows": len(frame),
            "n_ictal": int((frame["label"] == ICTAL).sum()),
            "missing_share": missing_share,
            "coverage": float(frame["coverage"].mean()) if len(frame) else 0.0,
            "digest": digest(frame_digest(frame), seizures),
        }
        meta = {"source": known["digest"], "windows": row, "seizures": seizures}
        write_table(target, frame, meta)
        return row, True


def lost(recording: str) -> tuple[None, bool]:
    """Give what stands for a recording that killed its worker."""
    return None, False
