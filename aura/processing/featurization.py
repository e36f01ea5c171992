"""One recording from RR intervals to a row of features per window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aura.core.parquet import frame_digest, read_meta, read_table, write_table
from aura.core.series import RRSeries
from aura.features import FeatureSpec, extract_features, feature_names


@dataclass(frozen=True)
class Featurization:
    """Compute the windows of one recording; picklable, so that other processes can do it."""

    spec: FeatureSpec
    prepared: Path
    folder: Path

    def __call__(self, recording: str) -> tuple[dict[str, Any] | None, bool]:
        """Row of the table of recordings, and whether it was computed now.

        Only other RR intervals make it compute again: annotations that have changed do not.
        """
        source, target = self.prepared / "rr" / f"{recording}.parquet", self.folder / "windows" / f"{recording}.parquet"
        rr_meta = read_meta(source)
        assert rr_meta is not None
        known = rr_meta["recording"]
        annotated = {name: rr_meta[name] for name in ("seizures", "rises_bpm")}
        meta = read_meta(target)
        if meta is not None and meta.get("source") == known["rr_digest"]:
            return {**meta["windows"], **annotated}, False

        intervals, _ = read_table(source)
        rr = RRSeries(intervals["t_s"].to_numpy(copy=True), intervals["rr_ms"].to_numpy(copy=True), known["duration_s"])
        frame = extract_features(rr, self.spec)
        features = frame[feature_names(frame)]
        row = {
            "recording": recording,
            "n_windows": len(frame),
            "missing_share": float(features.isna().to_numpy().mean()) if len(frame) else 0.0,
            "coverage": float(frame["coverage"].mean()) if len(frame) else 0.0,
            # Of windows without any interval there is no share.
            "corrected": float(frame["corrected"].fillna(0.0).mean()) if len(frame) else 0.0,
            "digest": frame_digest(frame),
        }
        write_table(target, frame, {"source": known["rr_digest"], "windows": row})
        return {**row, **annotated}, True


def lost(recording: str) -> tuple[None, bool]:
    """Give what stands for a recording that killed its worker."""
    return None, False
