"""RR intervals to features: one Parquet per recording with a row per window, and a table of the recordings."""

import pandas as pd
from hydra.utils import instantiate

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import remove_partials
from aura.core.parquet import read_table, write_table
from aura.execution import telemetry
from aura.execution.run_all import run_all
from aura.execution.shares import share
from aura.processing.featurization import Featurization, lost
from aura.stages import prepare
from aura.tracking import runs
from aura.workspace.folders import features_folder, is_prepared, prepared_folder

WINDOWS = ("recording", "n_windows", "missing_share", "coverage", "corrected", "digest", "seizures", "rises_bpm")


@telemetry.measured("featurize")
def run(config: Config) -> None:
    """Compute the features of all prepared recordings that have none yet, or other RR intervals since.

    Where recordings are not prepared with these settings, prepare runs first, as a child run. Of a partition, only its
    share of them, and no table: that is for the run without one to write, when all is done.
    """
    prepared, folder = prepared_folder(config), features_folder(config)
    with runs.stage_run("featurize", config) as active:
        if not is_prepared(config):
            if config.partition is not None:
                raise AuraError("nothing is prepared with these settings; run prepare first, without partition")
            prepare.run(config)
        recordings, upstream = read_table(prepared / "recordings.parquet")
        runs.log_upstream({"prepare": upstream["run_id"]})
        work = Featurization(config.feature_spec, prepared, folder)
        remove_partials(folder)
        names = share(recordings["recording"].tolist(), config.partition)
        results = run_all(names, work, compute=instantiate(config.compute), title="featurize", on_death=lost)
        gone = [name for name, (row, _) in zip(names, results, strict=True) if row is None]
        windows = pd.DataFrame([row for row, _ in results if row is not None], columns=list(WINDOWS))
        table = recordings.drop(columns=["digest"]).merge(windows, on="recording", validate="one_to_one")
        failures = pd.DataFrame(gone, columns=["recording"]).assign(
            stage="featurize", reason="worker_died", message="killed the process that worked on it, twice"
        )
        n_windows = int(table["n_windows"].sum())
        recorded_s = float(table["duration_s"].sum())
        telemetry.count(recordings=len(table), failures=failures["reason"], recorded_s=recorded_s, windows=n_windows)
        whole = config.partition is None
        if whole:
            write_table(folder / "failures.parquet", failures, {})
        runs.log_table(failures, "failures.json")
        # A share may be empty, where there are more of them than recordings.
        if names and not len(table):
            raise AuraError("no features of any recording; each killed the process that worked on it")
        if whole:
            write_table(folder / "recordings.parquet", table, {"run_id": active.info.run_id, "upstream": upstream})
        runs.log_table(windows.drop(columns=["digest", "seizures", "rises_bpm"]), "windows.json")
        shares = ("missing_share", "coverage", "corrected") if len(table) else ()
        runs.log_metrics(
            {
                "recordings": len(table),
                "failures": len(gone),
                "windows": n_windows,
                **{name: float(table[name].mean()) for name in shares},
            }
        )
    n_new = sum(new for _, new in results)
    print(
        f"featurize: {n_windows} windows of {len(table)} recordings "
        f"in {folder} ({n_new} recordings now, {len(table) - n_new} unchanged)"
        + (f"; {len(gone)} failed, see failures.parquet there" if gone and whole else "")
        + ("" if whole else f"\n  share {config.partition}; featurize without partition writes the tables")
    )
