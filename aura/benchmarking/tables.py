"""Tables that compare measurements by setup, stage, size and number of workers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from aura.formats.spreadsheet import to_csv

# A setup: version, machine, libraries and settings, which decide what the same work costs.
FACTS = ("version", "cpu", "cores", "memory_bytes", "os", "python", "libraries")
SETUP = (*FACTS, "settings")
WORK = ["stage", "subjects", "recorded_h", "workers"]
# Stages that can be measured; each needs the output of the previous one.
STAGES = ("prepare", "featurize", "train", "detect")


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """All measurements, compared.

    Parameters
    ----------
    setups
        A row per version, machine and settings, newest first: ``setup``, a number that never changes; ``measured``, the
        time of the last measurement; and the columns of `SETUP`.
    costs
        A row per setup, stage, size and number of workers: the cost of the fastest of its ``runs``, the mean
        ``cores_at_work``, and the ``speedup`` of the elapsed time over one worker (NaN if that was not measured).
    slopes
        A row per setup, stage and number of workers with at least two sizes, fitted by least squares:
        ``wall_exponent`` and ``cpu_exponent``, slopes of log cost over log size (1 if twice the size costs twice as
        much); ``wall_s_per_h`` and ``cpu_s_per_h``, seconds per recorded hour.
    failures
        Failed measurements that have not succeeded since, with their ``error``.
    """

    setups: pd.DataFrame
    costs: pd.DataFrame
    slopes: pd.DataFrame
    failures: pd.DataFrame

    @classmethod
    def compare(cls, runs: pd.DataFrame) -> "Tables":
        """Compare measurements.

        Parameters
        ----------
        runs
            A row per measurement: ``measured``, `SETUP`, `WORK`, the fields of `aura.benchmarking.measure.Cost`, and
            ``error``, None if the stage succeeded.
        """
        last = runs.groupby(list(SETUP), as_index=False)["measured"].agg(["min", "max"])
        setups = last.sort_values("min", ignore_index=True).drop(columns="min").rename(columns={"max": "measured"})
        setups.insert(0, "setup", np.arange(1, len(setups) + 1))
        runs = runs.merge(setups.drop(columns="measured"), on=list(SETUP), validate="many_to_one")
        runs["stage"] = pd.Categorical(runs["stage"], STAGES, ordered=True)
        costs = _tabulate_costs(runs[runs["error"].isna()])
        return cls(
            setups.sort_values("measured", ascending=False, ignore_index=True),
            costs,
            _tabulate_slopes(costs),
            _tabulate_failures(runs),
        )

    def csv(self) -> str:
        """Return costs and setups as one CSV table for other programs."""
        setups = self.setups.drop(columns="measured")
        return to_csv(self.costs.merge(setups, on="setup"))


def _tabulate_costs(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the fastest run of each kind, since disturbances only add to the cost."""
    by = ["setup", *WORK]
    finished = runs.drop(columns=[*SETUP, "error", "measured"]).sort_values("wall_s")
    n_runs = finished.groupby(by, observed=True).size().rename("runs").reset_index()
    costs = finished.drop_duplicates(by).merge(n_runs, on=by).sort_values(by, ignore_index=True)
    alone = costs.loc[costs["workers"] == 1, [*by[:-1], "wall_s"]].rename(columns={"wall_s": "alone_s"})
    costs = costs.merge(alone, on=by[:-1], how="left")
    costs["cores_at_work"] = costs["cpu_s"] / costs["wall_s"]
    costs["speedup"] = costs.pop("alone_s") / costs["wall_s"]
    return costs


def _tabulate_slopes(costs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate how the cost grows with the size."""
    rows = []
    for (setup, stage, workers), group in costs.groupby(["setup", "stage", "workers"], observed=True):
        hours = group["recorded_h"].to_numpy(dtype=float)
        if len(np.unique(hours)) < 2:
            continue
        row: dict[str, object] = {"setup": setup, "stage": stage, "workers": workers, "sizes": len(np.unique(hours))}
        for kind in ("wall", "cpu"):
            cost_s = group[f"{kind}_s"].to_numpy(dtype=float)
            row[f"{kind}_exponent"] = fit_slope(np.log(hours), np.log(cost_s))
            row[f"{kind}_s_per_h"] = fit_slope(hours, cost_s)
        rows.append(row)
    columns = ["setup", "stage", "workers", "sizes", "wall_exponent", "wall_s_per_h", "cpu_exponent", "cpu_s_per_h"]
    return pd.DataFrame(rows, columns=columns)


def fit_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Fit a straight line by least squares and return its slope.

    Examples
    --------
    >>> round(fit_slope(np.array([1.0, 2.0, 4.0]), np.array([7.0, 9.0, 13.0])), 9)
    2.0
    """
    return float(np.dot(x - x.mean(), y - y.mean()) / np.dot(x - x.mean(), x - x.mean()))


def _tabulate_failures(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the kinds of run whose last run failed."""
    by = ["setup", *WORK]
    last = runs.sort_values("measured").drop_duplicates(by, keep="last")
    return last.loc[last["error"].notna(), [*by, "error"]].sort_values(by, ignore_index=True)
