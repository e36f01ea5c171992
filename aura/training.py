"""Try a classifier on subjects it has not seen in fitting, and choose its threshold there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from aura.alarms import events_from_probability
from aura.classifier import Classifier, check_types, fit, seizure_probability
from aura.errors import AuraError
from aura.labels import TARGET
from aura.scoring import Counts, EventRules, pool, score_events
from aura.split import folds_by_subject
from aura.types import Event, Floats, Ints

N_THRESHOLDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRecording:
    """What a detector said of a recording, and what it should have: its targets, by `aura.labels`."""

    recording: str
    subject: str
    duration_s: float
    step_s: float
    probability: Floats
    targets: tuple[Event, ...]

    def alarms(self, threshold: float) -> tuple[Event, ...]:
        """Detected events at a threshold."""
        return events_from_probability(self.probability, threshold=threshold, step_s=self.step_s)


def check_parameters(make_model: Callable[[], Classifier]) -> None:
    """Fit the model to some rows and have it predict, so that what cannot work is refused before any long work.

    Raises
    ------
    AuraError
        With what the library says is allowed, or with what keeps the model from being served.
    """
    x = np.tile([[0.0, 1.0], [1.0, np.nan]], (256, 1))
    try:
        model = fit(make_model(), x, np.tile([0, TARGET], 256))
        seizure_probability(model, x)
    except (TypeError, ValueError, AttributeError) as error:
        raise AuraError(f"model: {' '.join(str(error).split())}") from error
    check_types(model)


def out_of_fold(
    make_model: Callable[[], Classifier], x: Floats, labels: Ints, subjects: Ints, *, n_folds: int, seed: int
) -> Floats:
    """Probability of each window by a model that was fitted without its subject.

    Parameters
    ----------
    make_model
        Gives an unfitted model.
    x
        (n_windows, n_features) features.
    labels, subjects
        (n_windows,) of each window.
    n_folds
        Number of folds.
    seed
        Of the folds.
    """
    out = np.full(len(x), np.nan)
    folds = folds_by_subject(labels, subjects, n_folds=n_folds, seed=seed)
    for train, test in tqdm(folds, total=n_folds, desc="train", unit="fold", dynamic_ncols=True):
        out[test] = seizure_probability(fit(make_model(), x[train], labels[train]), x[test])
    return out


def event_curve(recordings: Sequence[ScoredRecording], rules: EventRules) -> pd.DataFrame:
    """Event scores over thresholds.

    Returns
    -------
    DataFrame
        A row per threshold, rising: ``threshold``, ``sensitivity``, ``precision``, ``f1``, ``false_alarms_per_24h``.
    """
    everything = np.concatenate([r.probability for r in recordings])
    # Alarms are rare: most of the thresholds worth a look lie among the highest probabilities.
    quantiles = 1 - np.geomspace(0.5, 1e-4, N_THRESHOLDS)
    rows = []
    for threshold in np.unique(np.nanquantile(everything, quantiles)):
        counts = pool(event_counts(recordings, float(threshold), rules))
        rows.append({"threshold": float(threshold), **counts.ratios()})
    return pd.DataFrame(rows)


def event_counts(recordings: Sequence[ScoredRecording], threshold: float, rules: EventRules) -> list[Counts]:
    """Event counts of each recording at a threshold."""
    return [score_events(r.targets, r.alarms(threshold), duration_s=r.duration_s, rules=rules) for r in recordings]


def choose_threshold(curve: pd.DataFrame) -> float:
    """Threshold with the best event F1; of equals the highest, which alarms least."""
    best = curve["f1"].max()
    return float(curve.loc[curve["f1"] >= best, "threshold"].max())
