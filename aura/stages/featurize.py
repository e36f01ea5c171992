"""RR intervals to features: one Parquet per recording with a row per window, and a table of the recordings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aura import tracking
from aura.compute import over
from aura.config import Config, LabelsConfig
from aura.features import FeatureSpec, extract
from aura.labels import ICTAL, label
from aura.stages import prepare
from aura.stages.folders import features_folder, is_complete, prepared_folder
from aura.table import digest, frame_digest, read_meta, read_table, write_table
from aura.types import Event, RRSeries


def run(config: Config) -> None:
    """Compute the features of all prepared recordings that have none yet, or have changed since.

    Where recordings are not prepared with these settings, prepare runs first, as a child run.
    """
    prepared, folder = prepared_folder(config), features_folder(config)
    with tracking.stage_run("featurize", config) as active:
        if not is_complete(prepared, "rr"):
            prepare.run(config)
        recordings, upstream = read_table(prepared / "recordings.parquet")
        tracking.log_upstream({"prepare": upstream["run_id"]})
        work = FeaturizeRecording(config.feature_spec, config.labels, prepared, folder)
        results = over(recordings["recording"].tolist(), work, workers=config.compute.workers, title="featurize")
        windows = pd.DataFrame([row for row, _ in results])
        table = recordings.drop(columns=["digest"]).merge(windows, on="recording", validate="one_to_one")
        write_table(folder / "recordings.parquet", table, {"run_id": active.info.run_id, "upstream": upstream})
        tracking.log_table(windows.drop(columns=["digest"]), "windows.json")
        tracking.log_metrics(
            {
                "recordings": len(table),
                "windows": int(table["n_windows"].sum()),
                "ictal_windows": int(table["n_ictal"].sum()),
                "missing_share": float(table["missing_share"].mean()),
            }
        )
    n_new = sum(new for _, new in results)
    print(
        f"featurize: {table['n_windows'].sum()} windows ({table['n_ictal'].sum()} ictal) of {len(table)} recordings "
        f"in {folder} ({n_new} recordings now, {len(table) - n_new} unchanged)"
    )


@dataclass(frozen=True)
class FeaturizeRecording:
    """Compute the windows of one recording; picklable, so that other processes can do it."""

    spec: FeatureSpec
    labels: LabelsConfig
    prepared: Path
    folder: Path

    def __call__(self, recording: str) -> tuple[dict[str, Any], bool]:
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
        missing_share = float(frame.isna().to_numpy().mean()) if len(frame) else 0.0
        frame["label"] = label(
            frame["t_s"].to_numpy(),
            step_s=self.spec.step_s,
            seizures=[Event(onset_s, duration_s) for onset_s, duration_s in rr_meta["seizures"]],
            min_overlap=self.labels.min_overlap,
            postictal_s=self.labels.postictal_s,
        )
        row = {
            "recording": recording,
            "n_windows": len(frame),
            "n_ictal": int((frame["label"] == ICTAL).sum()),
            "missing_share": missing_share,
            "digest": digest(frame_digest(frame), rr_meta["seizures"]),
        }
        meta = {"source": known["digest"], "windows": row, "seizures": rr_meta["seizures"]}
        write_table(target, frame, meta)
        return row, True
