"""Compute features of RR intervals: a file per recording with a row per window, and a table of recordings."""

import pandas as pd
from hydra.utils import instantiate

from aura.assembly import feature_writer, find_features, find_prepared, open_features
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.execution import telemetry
from aura.execution.run_all import run_all
from aura.execution.shares import select_share
from aura.processing.featurization import Featurization, report_death
from aura.stages.featurize import STAGE
from aura.stages.prepare.run import ensure_prepared
from aura.tracking import logs, runs
from aura.workspace.features import ANNOTATED, FeatureStore, recordings_table, summary_table
from aura.workspace.prepared import PreparedCorpus


def run(config: Config) -> None:
    """Compute the features of all prepared recordings that are new or whose RR intervals have changed.

    If the prepared corpus is missing or outdated, prepare runs first, as a child run. With a partition, only its share
    is computed and no table is written; a run without partition writes the table.
    """
    writer, is_whole = feature_writer(config), config.partition is None
    with runs.stage_run("featurize", config) as active:
        corpus = _open_prepared(config)
        logs.log_upstream({"prepare": corpus.run_id})
        writer.remove_partials()
        rows = select_share(list(corpus.rows.values()), config.partition)
        work = Featurization(config.feature_spec, corpus.folder, writer)
        results = run_all(rows, work, compute=instantiate(config.compute), title="featurize", on_death=report_death)
        lost = [row["recording"] for row, (summary, _) in zip(rows, results, strict=True) if summary is None]
        summaries = summary_table(summary for summary, _ in results if summary is not None)
        table = recordings_table(corpus, summaries)
        failures = pd.DataFrame(lost, columns=["recording"]).assign(
            stage="featurize", reason="worker_died", message="killed the process that worked on it, twice"
        )
        n_windows, recorded_s = int(table["n_windows"].sum()), float(table["duration_s"].sum())
        telemetry.count(recordings=len(table), failures=failures["reason"], recorded_s=recorded_s, windows=n_windows)
        if is_whole:
            writer.write_failures(failures)
        logs.log_table(failures, "failures.json")
        # A share is empty if there are more shares than recordings.
        if rows and not len(table):
            raise AuraError("no features were computed; every recording killed its worker process")
        if is_whole:
            writer.write_table(table, corpus, run_id=active.info.run_id)
        _log(table, summaries, n_failures=len(failures))
    n_new = sum(new for _, new in results)
    print(
        f"featurize: {counted(n_windows, 'window')} of {counted(len(table), 'recording')} "
        f"in {writer.folder} ({counted(n_new, 'recording')} now, {len(table) - n_new} unchanged)"
        + (f"; {len(failures)} failed, see failures.parquet there" if len(failures) and is_whole else "")
        + ("" if is_whole else f"\n  share {config.partition}; featurize without partition writes the tables")
    )


def ensure_features(config: Config) -> FeatureStore:
    """Open the features; if they are missing or outdated, featurize runs first, as a child run."""
    corpus = find_prepared(config)
    store = None if corpus is None else find_features(config, corpus)
    if store is None:
        STAGE.run(config)
        store = open_features(config)
    return store


def _open_prepared(config: Config) -> PreparedCorpus:
    """Open the prepared corpus; for a share, raise if it is missing, since several shares would prepare it at once."""
    if config.partition is None:
        return ensure_prepared(config)
    corpus = find_prepared(config)
    if corpus is None:
        raise AuraError("nothing is prepared with these settings; run prepare first, without partition")
    return corpus


def _log(table: pd.DataFrame, summaries: pd.DataFrame, *, n_failures: int) -> None:
    """Log the table of windows and the totals."""
    logs.log_table(summaries.drop(columns=["digest", *ANNOTATED]), "windows.json")
    shares = ("missing_share", "coverage", "corrected") if len(table) else ()
    logs.log_metrics(
        {
            "recordings": len(table),
            "failures": n_failures,
            "windows": int(table["n_windows"].sum()),
            **{name: float(table[name].mean()) for name in shares},
        }
    )
