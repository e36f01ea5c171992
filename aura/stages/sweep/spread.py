"""Trials of one sweep on the workers of a Dask cluster; the study is what they share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from aura.config.schema import Config
from aura.config.stage import quote_for_hydra
from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.execution.executors import Compute
from aura.execution.run_all import run_all
from aura.search.study import SharedStudy


def localize(config: Config) -> list[str]:
    """Return the overrides of a configuration for a worker: its own process, and the same folders.

    A worker does one trial at a time, and has another working folder.
    """
    parsed = OverridesParser.create().parse_overrides(config.overrides)
    kept = [
        word
        for word, override in zip(config.overrides, parsed, strict=True)
        if not _is_of(override.key_or_group, "compute")
    ]
    folders = {"workspace": config.workspace, "dataset.root": config.dataset.root}
    return [
        *kept,
        "compute=serial",
        *(f"{key}={quote_for_hydra(str(Path(folder).resolve()))}" for key, folder in folders.items()),
    ]


def spread_trials(work: Callable[[], None], shared: SharedStudy, n_trials: int, compute: Compute) -> None:
    """Do the missing trials of a study on the workers of a cluster, one trial per task.

    A trial whose worker died is tried again after the others, as soon as its silence shows that it has ended.

    Parameters
    ----------
    work
        Does one trial in a worker, or returns if none is left to do.
    shared, n_trials
        The study, and its number of finished trials in the end.
    compute
        The cluster.

    Raises
    ------
    AuraError
        If a trial killed its worker twice.
    """
    missing = range(max(n_trials - len(shared.finished()), 0))
    done = run_all(
        missing, partial(_call, work), compute=compute, title="sweep", on_death=lambda number: False, unit="trial"
    )
    if not all(done):
        raise AuraError(
            f"{counted(done.count(False), 'trial')} killed the worker twice, perhaps for want of memory; "
            "run the sweep again to continue"
        )


def _call(work: Callable[[], None], number: int) -> bool:
    work()
    return True


def _is_of(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")
