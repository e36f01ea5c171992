"""RR intervals to features: one Parquet per recording with a row per window, and a table of the recordings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.utils import instantiate

from aura import tracking
from aura.compute import over
from aura.config import Config, LabelsConfig
from aura.errors import AuraError
from aura.features import FeatureSpec, extract, feature_names
from aura.labels import ICTAL, LEFT_OUT, label
from aura.stages import prepare
from aura.stages.folders import features_folder, is_complete, prepared_folder
from aura.table import digest, frame_digest, read_meta, read_table, write_table
from aura.types import Event, RRSeries

WINDOWS = ("recording", "n_windows", "n_ictal", "missing_share", "coverage", "digest")


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
        names = recordings["recording"].tolist()
        results = over(names, work, compute=instantiate(config.compute), title="featurize", lost=_lost)
        lost = [name for name, (row, _) in zip(names, results, strict=True) if row is None]
        windows = pd.DataFrame([row for row, _ in results if row is not None], columns=list(WINDOWS))
        table = recordings.drop(columns=["digest"]).merge(windows, on="recording", validate="one_to_one")
        if not len(table):
            raise AuraError("no features of any recording; each killed the process that worked on it")
        write_table(folder / "recordings.parquet", table, {"run_id": active.info.run_id, "upstream": upstream})
        tracking.log_table(windows.drop(columns=["digest"]), "windows.json")
        tracking.log_metrics(
            {
                "recordings": len(table),
                "failures": len(lost),
                "windows": int(table["n_windows"].sum()),
                "ictal_windows": int(table["n_ictal"].sum()),
                "missing_share": float(table["missing_share"].mean()),
                "coverage": float(table["coverage"].mean()),
            }
        )
    n_new = sum(new for _, new in results)
    print(
        f"featurize: {table['n_windows'].sum()} windows ({table['n_ictal'].sum()} ictal) of {len(table)} recordings "
        f"in {folder} ({n_new} recordings now, {len(table) - n_new} unchanged)"
        + (f"; left out, as they killed the process that worked on them, twice: {', '.join(lost)}" if lost else "")
    )


def _lost(recording: str) -> tuple[None, bool]:
    return None, False


@dataclass(frozen=True)
class FeaturizeRecording:
    """Compute the windows of one recording; picklable, so that other processes can do it."""

    spec: FeatureSpec
    labels: LabelsConfig
    prepared: Path
    folder: Path

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
                min_overlap=self.labels.min_overlap,
                postictal_s=self.labels.postictal_s,
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
