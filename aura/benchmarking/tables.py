"""What was measured, side by side: by setup, stage, size and number of workers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from aura.formats.spreadsheet import to_csv

# What can make the same work cost more or less: version, machine, libraries; and what was asked for.
FACTS = ("version", "cpu", "cores", "memory_bytes", "os", "python", "libraries")
SETUP = (*FACTS, "settings")
WHAT = ["stage", "subjects", "recorded_h", "workers"]
# What can be measured; each needs what the one before has made.
STAGES = ("prepare", "featurize", "train", "detect")


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """All that was measured, compared.

    Parameters
    ----------
    setups
        A row per version, machine and settings: ``setup``, a number that stays when others follow, ``measured`` last,
        and all of `SETUP`; the newest first.
    costs
        A row per setup, stage, size and number of workers: what it cost in the fastest of its ``runs``, the mean
        ``cores_at_work``, and ``speedup`` by the clock against one worker (NaN where that was not measured).
    slopes
        A row per setup, stage and number of workers with two sizes or more: ``wall_exponent`` and ``cpu_exponent``,
        slopes of the cost against the size on logarithms, 1 where twice the size costs twice as much; ``wall_s_per_h``
        and ``cpu_s_per_h``, what each recorded hour adds. Both are least squares.
    failures
        What failed, and was not done since: with its ``error``.
    """

    setups: pd.DataFrame
    costs: pd.DataFrame
    slopes: pd.DataFrame
    failures: pd.DataFrame

    @classmethod
    def of(cls, runs: pd.DataFrame) -> "Tables":
        """Compare runs.

        Parameters
        ----------
        runs
            A row per run: ``measured``, `SETUP`, `WHAT`, the fields of `aura.benchmarking.measure.Cost`, and ``error``,
            None where it did what it should.
        """
        last = runs.groupby(list(SETUP), as_index=False)["measured"].agg(["min", "max"])
        setups = last.sort_values("min", ignore_index=True).drop(columns="min").rename(columns={"max": "measured"})
        setups.insert(0, "setup", np.arange(1, len(setups) + 1))
        runs = runs.merge(setups.drop(columns="measured"), on=list(SETUP), validate="many_to_one")
        runs["stage"] = pd.Categorical(runs["stage"], STAGES, ordered=True)
        costs = _costs(runs[runs["error"].isna()])
        return cls(
            setups.sort_values("measured", ascending=False, ignore_index=True),
            costs,
            _slopes(costs),
            _failures(runs),
        )

    def csv(self) -> str:
        """Costs with the setup of each, as one table for other programs."""
        setups = self.setups.drop(columns="measured")
        return to_csv(self.costs.merge(setups, on="setup"))


def _costs(runs: pd.DataFrame) -> pd.DataFrame:
    """Cost of the fastest run of each kind: what disturbs it only adds to it."""
    by = ["setup", *WHAT]
    found = runs.drop(columns=[*SETUP, "error", "measured"]).sort_values("wall_s")
    n_runs = found.groupby(by, observed=True).size().rename("runs").reset_index()
    costs = found.drop_duplicates(by).merge(n_runs, on=by).sort_values(by, ignore_index=True)
    alone = costs.loc[costs["workers"] == 1, [*by[:-1], "wall_s"]].rename(columns={"wall_s": "alone_s"})
    costs = costs.merge(alone, on=by[:-1], how="left")
    costs["cores_at_work"] = costs["cpu_s"] / costs["wall_s"]
    costs["speedup"] = costs.pop("alone_s") / costs["wall_s"]
    return costs


def _slopes(costs: pd.DataFrame) -> pd.DataFrame:
    """How the cost grows with the size."""
    rows = []
    for (setup, stage, workers), group in costs.groupby(["setup", "stage", "workers"], observed=True):
        hours = group["recorded_h"].to_numpy(dtype=float)
        if len(np.unique(hours)) < 2:
            continue
        row: dict[str, object] = {"setup": setup, "stage": stage, "workers": workers, "sizes": len(np.unique(hours))}
        for kind in ("wall", "cpu"):
            cost_s = group[f"{kind}_s"].to_numpy(dtype=float)
            row[f"{kind}_exponent"] = slope(np.log(hours), np.log(cost_s))
            row[f"{kind}_s_per_h"] = slope(hours, cost_s)
        rows.append(row)
    columns = ["setup", "stage", "workers", "sizes", "wall_exponent", "wall_s_per_h", "cpu_exponent", "cpu_s_per_h"]
    return pd.DataFrame(rows, columns=columns)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of the straight line with the least squares.

    >>> round(slope(np.array([1.0, 2.0, 4.0]), np.array([7.0, 9.0, 13.0])), 9)
    2.0
    """
    return float(np.dot(x - x.mean(), y - y.mean()) / np.dot(x - x.mean(), x - x.mean()))


def _failures(runs: pd.DataFrame) -> pd.DataFrame:
    """Last run of each kind, where it failed."""
    by = ["setup", *WHAT]
    last = runs.sort_values("measured").drop_duplicates(by, keep="last")
    return last.loc[last["error"].notna(), [*by, "error"]].sort_values(by, ignore_index=True)
