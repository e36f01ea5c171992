"""Confidence intervals of scores over subjects, by bootstrap: subjects are drawn with replacement."""

from collections.abc import Callable

import numpy as np

from aura.core.arrays import Floats, Ints

N_DRAWS = 2000
# Percentiles of a 95 % interval.
TAILS = (2.5, 97.5)


def draw_subjects(n_subjects: int, *, seed: int) -> Ints:
    """Return how often each draw contains each subject, as (N_DRAWS, n_subjects) counts."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=N_DRAWS).astype(np.int64)


def confidence_interval(values: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the scores of draws, ignoring NaN; NaN if all are NaN.

    Examples
    --------
    >>> confidence_interval(np.arange(101.0))
    (2.5, 97.5)
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, TAILS)
    return float(low), float(high)


def score_draws(counts: Floats, score: Callable[[Floats], Floats], *, seed: int) -> Floats:
    """Compute the score of each draw of subjects.

    Parameters
    ----------
    counts
        (n_subjects, n_counts) counts of each subject, such as detected events and false alarms.
    score
        Function that computes (n_draws,) scores from (n_draws, n_counts) sums.
    seed
        Seed of the draws. The same seed draws the same subjects, so two detectors can be compared draw by draw.

    Returns
    -------
    (N_DRAWS,) Floats
        NaN where the score is not defined.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return score(draw_subjects(len(counts), seed=seed) @ counts)
