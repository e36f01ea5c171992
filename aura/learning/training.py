"""Fit a classifier on some recordings, try it on those it has not seen, and calibrate it there."""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from aura.core.arrays import Floats, Ints, Singles
from aura.core.errors import AuraError
from aura.learning.classifier import Calibration, Classifier, check_types, fit, log_odds, seizure_probability
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import INTERICTAL, LEFT_OUT, TARGET
from aura.learning.splits import deal

# Told of each fold: its number, the recordings that were tried in it, and their probabilities.
Report = Callable[[int, FeatureTable, list[Floats]], None]


@dataclass(frozen=True)
class Training:
    """How a model is fitted.

    Parameters
    ----------
    make_model
        Gives an unfitted model.
    interictal_per_ictal
        Interictal windows that are used for fitting, per window to be found; None for all. They are drawn from each
        recording in proportion to what it has.
    n_folds
        Parts of the recordings of which each is tried on a model fitted on the others.
    calibrate
        Whether probabilities are corrected so that they mean what they say in the long run, by what was found in
        these folds (Platt 1999).
    seed
        Of the folds and of the drawing.
    n_threads
        Recordings that are predicted at the same time.
    """

    make_model: Callable[[], Classifier]
    interictal_per_ictal: float | None
    n_folds: int
    calibrate: bool
    seed: int
    n_threads: int

    def fit(self, table: FeatureTable) -> Classifier:
        """Fit a model on some recordings."""
        return fit(self.make_model(), *self._drawn(table))

    def predict(self, model: Classifier, table: FeatureTable) -> list[Floats]:
        """Probability of each window, recording by recording."""
        with ThreadPoolExecutor(self.n_threads) as pool:
            return list(pool.map(lambda number: seizure_probability(model, table.read(number)), range(len(table))))

    def out_of_fold(self, table: FeatureTable, groups: str, report: Report | None = None) -> list[Floats]:
        """Probability of each window by a model that was fitted without its group.

        Parameters
        ----------
        table
            Recordings to train on.
        groups
            Column of the table of recordings that says what stays together: ``subject``, or ``recording`` where there
            is but one subject.
        report
            Is told of each fold: its number, its recordings, and their probabilities.

        Returns
        -------
        list of Floats
            Recording by recording.
        """
        recordings = table.recordings
        folds = deal(recordings[groups], recordings["n_seizures"], n_folds=self.n_folds, seed=self.seed)
        out: dict[int, Floats] = {}
        for fold in tqdm(range(self.n_folds), desc="train", unit="fold", dynamic_ncols=True):
            model = self.fit(table.select(folds != fold))
            tried = np.flatnonzero(folds == fold).tolist()
            found = self.predict(model, table.select(folds == fold))
            out.update(zip(tried, found, strict=True))
            if report is not None:
                report(fold, table.select(folds == fold), found)
        return [out[number] for number in range(len(table))]

    def calibration(self, table: FeatureTable, probabilities: Sequence[Floats]) -> Calibration:
        """Say how probabilities out of fold are to be corrected."""
        if not self.calibrate:
            return Calibration()
        probability = np.concatenate(probabilities)
        labels = np.concatenate([table.labels(number) for number in range(len(table))])
        used = ~np.isnan(probability) & (labels != LEFT_OUT)
        # Without a penalty: two parameters of so many windows need none.
        logistic = LogisticRegression(C=np.inf)
        logistic.fit(log_odds(probability[used])[:, None], labels[used] == TARGET)
        if logistic.coef_[0, 0] <= 0:
            # Where the model knows nothing of others, a correction would turn its order round.
            return Calibration()
        return Calibration(float(logistic.coef_[0, 0]), float(logistic.intercept_[0]))

    def _drawn(self, table: FeatureTable) -> tuple[Singles, Ints]:
        """Windows to fit on, and their labels."""
        labels = [table.labels(number) for number in range(len(table))]
        n_targets = sum(int((of_one == TARGET).sum()) for of_one in labels)
        n_interictal = sum(int((of_one == INTERICTAL).sum()) for of_one in labels)
        share = 1.0
        if self.interictal_per_ictal is not None and n_interictal:
            share = min(self.interictal_per_ictal * n_targets / n_interictal, 1.0)
        parts = []
        for number, of_one in enumerate(labels):
            # By its name, so that the same windows are drawn whatever other recordings there are.
            name = table.recordings["recording"].iloc[number]
            rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            chosen = (of_one == TARGET) | ((of_one == INTERICTAL) & (rng.random(len(of_one)) < share))
            if chosen.any():
                parts.append((table.read(number)[chosen], of_one[chosen]))
        return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def check_parameters(make_model: Callable[[], Classifier], n_features: int) -> None:
    """Fit the model to some rows and have it predict, so that what cannot work is refused before any long work.

    Raises
    ------
    AuraError
        With what the library says is allowed, or with what keeps the model from being served.
    """
    x = np.tile(np.array([0.0, 1.0], dtype=np.float32), (256, n_features)).reshape(512, n_features)
    x[::7, 1:] = np.nan
    try:
        model = fit(make_model(), x, np.tile([0, TARGET], 256))
        seizure_probability(model, x)
    except (TypeError, ValueError, AttributeError) as error:
        raise AuraError(f"model: {' '.join(str(error).split())}") from error
    check_types(model, n_features)
