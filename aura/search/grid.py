"""Optuna's grid sampler, for a loop that asks and tells."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import TrialState


class Grid(GridSampler):
    """Tries each combination once.

    Optuna's class ends ``study.optimize`` after the last combination, which raises an error outside of it.

    Parameters
    ----------
    search_space
        Values of each parameter.
    seed
        Seed of the order; the same in all processes, since they share the numbers of the combinations.
    """

    def __init__(self, search_space: Mapping[str, Sequence[Any]], seed: int | None = None) -> None:
        super().__init__(search_space, seed)
        self.n_combinations = math.prod(map(len, search_space.values()))

    def after_trial(self, *trial: Any, **more: Any) -> None:
        """Do nothing: the loop asks `is_begun` instead."""

    def is_begun(self, study: Study) -> bool:
        """Return whether each combination was begun, and none waits to be tried again."""
        trials = study.get_trials(deepcopy=False)
        begun = {trial.system_attrs["grid_id"] for trial in trials if "grid_id" in trial.system_attrs}
        return len(begun) == self.n_combinations and all(trial.state != TrialState.WAITING for trial in trials)
