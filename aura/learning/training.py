"""Fit a classifier on some recordings, predict those it has not seen, and calibrate it on them."""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Floats, Ints, Singles
from aura.core.errors import AuraError, InvalidInput
from aura.execution.progress import show_progress
from aura.learning.calibration import Calibration, log_odds
from aura.learning.classifier import Classifier, fit_classifier, seizure_probability
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import INTERICTAL, LEFT_OUT, TARGET
from aura.learning.splits import assign_folds

# Called for each fold with its number, its test recordings, and their probabilities.
Report = Callable[[int, FeatureTable, list[Floats]], None]


@dataclass(frozen=True)
class Training:
    """How a model is fitted and calibrated.

    Parameters
    ----------
    make_model
        Returns an unfitted model.
    interictal_per_ictal
        Interictal windows to fit on, per ictal (or preictal) window; None for all. They are drawn from each recording
        in proportion to its number of interictal windows.
    max_windows
        Windows to fit on at most; None for no limit. Neighbouring windows are nearly alike. Ictal and interictal
        windows are thinned alike.
    n_folds
        Number of folds; each is predicted by a model fitted on the others.
    calibrate
        Whether probabilities are calibrated on the out-of-fold predictions (Platt 1999).
    seed
        Seed of the folds and of the drawing.
    n_threads
        Recordings predicted at the same time.
    """

    make_model: Callable[[], Classifier]
    interictal_per_ictal: float | None
    max_windows: int | None
    n_folds: int
    calibrate: bool
    seed: int
    n_threads: int

    def fit(self, table: FeatureTable) -> Classifier:
        """Fit a model on some recordings."""
        return fit_classifier(self.make_model(), *self._draw(table))

    def predict(self, model: Classifier, table: FeatureTable) -> list[Floats]:
        """Return the probability of each window, recording by recording."""
        with ThreadPoolExecutor(self.n_threads) as pool:
            return list(pool.map(lambda number: seizure_probability(model, table.read(number)), range(len(table))))

    def out_of_fold(self, table: FeatureTable, groups: str, report: Report | None = None) -> list[Floats]:
        """Predict each window by a model that was fitted without its group.

        Parameters
        ----------
        table
            Recordings to train on.
        groups
            Column of the table of recordings whose values stay in one fold: ``subject``, or ``recording`` if there is
            only one subject.
        report
            Called for each fold with its number, its recordings, and their probabilities.

        Returns
        -------
        list of Floats
            (n_windows,) probabilities, recording by recording.
        """
        recordings = table.recordings
        folds = assign_folds(recordings[groups], recordings["n_seizures"], n_folds=self.n_folds, seed=self.seed)
        out: dict[int, Floats] = {}
        for fold in show_progress(range(self.n_folds), title="train", unit="fold"):
            model = self.fit(table.select(folds != fold))
            numbers = np.flatnonzero(folds == fold).tolist()
            probabilities = self.predict(model, table.select(folds == fold))
            out.update(zip(numbers, probabilities, strict=True))
            if report is not None:
                report(fold, table.select(folds == fold), probabilities)
        return [out[number] for number in range(len(table))]

    def calibration(self, table: FeatureTable, probabilities: Sequence[Floats]) -> Calibration:
        """Fit the calibration to out-of-fold probabilities, recording by recording."""
        from sklearn.linear_model import LogisticRegression

        if not self.calibrate:
            return Calibration()
        probability = np.concatenate(probabilities)
        labels = np.concatenate([table.labels(number) for number in range(len(table))])
        used = ~np.isnan(probability) & (labels != LEFT_OUT)
        # Without a penalty, which two parameters on so many windows do not need.
        logistic = LogisticRegression(C=np.inf)
        logistic.fit(log_odds(probability[used])[:, None], labels[used] == TARGET)
        if logistic.coef_[0, 0] <= 0:
            # If the model does not generalise, a correction would reverse the order of its probabilities.
            return Calibration()
        return Calibration(float(logistic.coef_[0, 0]), float(logistic.intercept_[0]))

    def _draw(self, table: FeatureTable) -> tuple[Singles, Ints]:
        """Draw the windows to fit on, (n_windows, n_features), and their labels."""
        labels = [table.labels(number) for number in range(len(table))]
        shares = self._shares(
            sum(int((values == TARGET).sum()) for values in labels),
            sum(int((values == INTERICTAL).sum()) for values in labels),
        )
        parts = []
        for number, values in enumerate(labels):
            # Seeded by its name, so that the drawing does not depend on the other recordings.
            name = table.recordings["recording"].iloc[number]
            rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            share = np.select([values == TARGET, values == INTERICTAL], shares)
            chosen = rng.random(len(values)) < share
            if chosen.any():
                parts.append((table.read(number)[chosen], values[chosen]))
        return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])

    def _shares(self, n_targets: int, n_interictal: int) -> tuple[float, float]:
        """Return the shares of the target windows and of the interictal windows to fit on."""
        of_interictal = 1.0
        if self.interictal_per_ictal is not None and n_interictal:
            of_interictal = min(self.interictal_per_ictal * n_targets / n_interictal, 1.0)
        n_windows = n_targets + of_interictal * n_interictal
        # Both are thinned alike. Otherwise the models of the folds, which choose the threshold, would see another share
        # of ictal windows than the model of all subjects, which has as many windows of more seizures.
        thinned = 1.0 if self.max_windows is None else min(self.max_windows / max(n_windows, 1), 1.0)
        return thinned, thinned * of_interictal


def check_parameters(make_model: Callable[[], Classifier], n_features: int) -> None:
    """Fit the model to a few rows and predict them, to report wrong parameters before any long work.

    Raises
    ------
    AuraError
        With the message of the library, or the reason why the model cannot be served.
    """
    from aura.learning.classifier_file import check_class, check_types

    x = np.tile(np.array([0.0, 1.0], dtype=np.float32), (256, n_features)).reshape(512, n_features)
    x[::7, 1:] = np.nan
    try:
        unfitted = make_model()
        check_class(unfitted)
        model = fit_classifier(unfitted, x, np.tile([0, TARGET], 256))
        seizure_probability(model, x)
    except InvalidInput as error:
        raise AuraError(f"model.{error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise AuraError(f"model: {' '.join(str(error).split())}") from error
    check_types(model, n_features)
