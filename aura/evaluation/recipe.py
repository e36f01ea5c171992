"""A recipe for detectors: fit, calibrate and choose the threshold on training subjects, score on test subjects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aura.core.arrays import Bools, Floats
from aura.detection.alarms import Alarms
from aura.evaluation.operating_point import choose_threshold, compute_event_curve, read_operating_point
from aura.evaluation.results import AnnotatedRecording, Evaluation, ScoredRecording, evaluate, score_recording
from aura.evaluation.scoring import FALSE_ALARM_RATE, EventRules
from aura.learning.calibration import Calibration
from aura.learning.classifier import Classifier
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import LEFT_OUT, TARGET
from aura.learning.splits import Fold
from aura.learning.training import Report, Training

# Threshold of recordings that are scored before a threshold is chosen.
UNCHOSEN = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedDetector:
    """A fitted classifier with its calibration and its threshold.

    Parameters
    ----------
    model, calibration, threshold
        The classifier, the correction of its probabilities, and the score at which an alarm is raised.
    curve
        Event scores over thresholds on the training subjects, each predicted by a model that had not seen it.
    """

    model: Classifier
    calibration: Calibration
    threshold: float
    curve: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """Result of a training: detectors, and their scores on test subjects.

    Parameters
    ----------
    recordings
        Table of the annotated recordings, a row each.
    folds
        Training and test side of each fold.
    by_fold
        Detector of each fold.
    detector
        The detector to register: that of the only fold, or one trained on all recordings.
    evaluation
        Scores of the detectors of the folds on their test sides.
    max_false_alarms_per_24h
        Limit for which the thresholds were chosen.
    """

    recordings: pd.DataFrame
    folds: Sequence[Fold]
    by_fold: Sequence[TrainedDetector]
    detector: TrainedDetector
    evaluation: Evaluation
    max_false_alarms_per_24h: float

    @property
    def is_tested(self) -> Bools:
        """(n_recordings,) whether a recording is on the test side of a fold."""
        is_tested: Bools = np.any([fold.test for fold in self.folds], axis=0)
        return is_tested

    @property
    def tested(self) -> pd.DataFrame:
        """Rows of the recordings on the test side of a fold."""
        return self.recordings[self.is_tested]

    @property
    def keeps_limit(self) -> bool:
        """Whether some threshold kept to the limit of false alarms on the training subjects."""
        return bool((self.detector.curve[FALSE_ALARM_RATE] <= self.max_false_alarms_per_24h).any())

    @property
    def training_scores(self) -> dict[str, float]:
        """Event scores of the training subjects at the threshold, each predicted by a model that had not seen it."""
        return read_operating_point(self.detector.curve, self.detector.threshold)

    @property
    def sides(self) -> dict[str, list[str]]:
        """Subjects and beats that the registered detector was trained on, and subjects it was tested on."""
        subjects, beats = self.recordings["subject"], self.recordings["rr_digest"]
        trained = self.folds[0].train if len(self.folds) == 1 else np.ones(len(subjects), dtype=np.bool_)
        return {
            "train": sorted(set(subjects[trained])),
            "test": sorted(set(subjects[self.is_tested])),
            "train_beats": sorted(set(beats[trained])),
        }

    @property
    def window_counts(self) -> dict[str, int]:
        """Number of target windows and of windows left out on the test sides."""
        labels = np.concatenate([r.labels for r in self.evaluation.recordings])
        return {
            "target_windows": int((labels == TARGET).sum()),
            "left_out_windows": int((labels == LEFT_OUT).sum()),
        }

    @property
    def training_curve(self) -> pd.DataFrame:
        """Event scores over thresholds on the training side of each fold."""
        curves = [trained.curve.assign(fold=number) for number, trained in enumerate(self.by_fold)]
        return pd.concat(curves, ignore_index=True)


@dataclass(frozen=True)
class Recipe:
    """Settings by which a detector is trained and scored, except the features.

    Parameters
    ----------
    training, alarms, rules
        How the classifier is fitted, how the detector raises alarms, and how alarms are counted.
    max_false_alarms_per_24h
        Limit for which the threshold is chosen.
    """

    training: Training
    alarms: Alarms
    rules: EventRules
    max_false_alarms_per_24h: float

    def cross_validate(
        self, table: FeatureTable, groups: str, report: Report | None = None
    ) -> tuple[Calibration, pd.DataFrame]:
        """Return the calibration and the curve of event scores of out-of-fold predictions of training recordings."""
        probabilities = self.training.out_of_fold(table, groups, report)
        calibration = self.training.calibration(table, probabilities)
        scored = self.score(table, [calibration(probability) for probability in probabilities])
        return calibration, compute_event_curve(scored, self.alarms, self.rules)

    def train(self, table: FeatureTable, groups: str) -> TrainedDetector:
        """Train a detector on all recordings of a table."""
        calibration, curve = self.cross_validate(table, groups)
        threshold = choose_threshold(curve, self.max_false_alarms_per_24h)
        return TrainedDetector(self.training.fit(table), calibration, threshold, curve)

    def test(self, trained: TrainedDetector, table: FeatureTable) -> list[ScoredRecording]:
        """Score a detector on recordings that it has not seen."""
        probabilities = [trained.calibration(p) for p in self.training.predict(trained.model, table)]
        return self.score(table, probabilities, trained.threshold)

    def score(
        self, table: FeatureTable, probabilities: Sequence[Floats], threshold: float = UNCHOSEN
    ) -> list[ScoredRecording]:
        """Score the probabilities of the recordings of a table against their annotations."""
        return [
            score_recording(
                read_annotations(table, number),
                probability,
                step_s=table.step_s,
                alarms=self.alarms,
                threshold=threshold,
                labelling=table.labelling,
            )
            for number, probability in enumerate(probabilities)
        ]

    def train_and_test(
        self,
        table: FeatureTable,
        folds: Sequence[Fold],
        groups: str,
        *,
        retrain: bool,
        progress: Callable[[str], None],
    ) -> TrainingResult:
        """Train on one side of each fold and test on the other.

        Parameters
        ----------
        table
            All annotated recordings.
        folds
            Which of them are trained on and tested on.
        groups
            Column of the table of recordings whose values stay together in the folds within a training side.
        retrain
            Whether the detector to register is trained on all recordings; else it is that of the first fold.
        progress
            Called with the name of each fold, if there are several.
        """
        by_fold: list[TrainedDetector] = []
        scored: list[ScoredRecording] = []
        for number, fold in enumerate(folds, start=1):
            if len(folds) > 1:
                progress(f"{fold.name} ({number} of {len(folds)})")
            by_fold.append(self.train(table.select(fold.train), groups))
            scored += self.test(by_fold[-1], table.select(fold.test))
        detector = self.train(table, groups) if retrain else by_fold[0]
        evaluation = evaluate(scored, self.alarms, self.rules)
        return TrainingResult(table.recordings, folds, by_fold, detector, evaluation, self.max_false_alarms_per_24h)


def read_annotations(table: FeatureTable, number: int) -> AnnotatedRecording:
    """Return the annotations of a recording of a table."""
    row = table.recordings.iloc[number]
    rises_bpm = np.array(row["rises_bpm"], dtype=np.float64)
    return AnnotatedRecording(
        row["recording"], row["subject"], float(row["duration_s"]), table.seizures(number), rises_bpm
    )
