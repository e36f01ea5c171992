"""How far scores would move with other people: draws of subjects, with replacement."""

from collections.abc import Callable

import numpy as np

from aura.core.arrays import Floats, Ints

N_DRAWS = 2000
# Of 95 %.
TAILS = (2.5, 97.5)


def draws(n_subjects: int, *, seed: int) -> Ints:
    """(N_DRAWS, n_subjects) how often each subject is in each draw."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=N_DRAWS).astype(np.int64)


def interval(values: Floats) -> tuple[float, float]:
    """Ends of the interval that holds 95 % of the draws in which a score is defined; NaN where it never is.

    Examples
    --------
    >>> interval(np.arange(101.0))
    (2.5, 97.5)
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, TAILS)
    return float(low), float(high)


def scores_of_draws(counts: Floats, score: Callable[[Floats], Floats], *, seed: int) -> Floats:
    """Score of each draw of subjects.

    Parameters
    ----------
    counts
        (n_subjects, n_counts) what adds up: events found, false alarms and so on.
    score
        Gives (n_draws,) scores of (n_draws, n_counts) sums.
    seed
        Of the draws; the same seed draws the same subjects, so that two detectors can be compared pair by pair.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return score(draws(len(counts), seed=seed) @ counts)
