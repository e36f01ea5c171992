"""A configuration tried on a corpus: fit, calibrate, choose the threshold on those trained on, score the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aura.core.arrays import Floats
from aura.detection.alarms import Alarms
from aura.evaluation.operating_point import event_curve, operating_point
from aura.evaluation.results import ScoredRecording
from aura.evaluation.scoring import EventRules
from aura.learning.calibration import Calibration
from aura.learning.classifier import Classifier
from aura.learning.feature_table import FeatureTable
from aura.learning.training import Report, Training

# Of no recording known, and of a threshold that is not chosen yet.
UNCHOSEN = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A detector as it comes out of training.

    Parameters
    ----------
    model, calibration, threshold
        What makes probabilities, corrects them, and compares their scores.
    curve
        Event scores over thresholds of those it was trained on, each by a model that had not seen them.
    """

    model: Classifier
    calibration: Calibration
    threshold: float
    curve: pd.DataFrame


@dataclass(frozen=True)
class Trial:
    """All that decides how a detector is trained and scored, but for the features.

    Parameters
    ----------
    training, alarms, rules
        How it is fitted, how it raises alarms, and how these are counted.
    max_false_alarms_per_24h
        For which the threshold is chosen.
    """

    training: Training
    alarms: Alarms
    rules: EventRules
    max_false_alarms_per_24h: float

    def out_of_fold(
        self, table: FeatureTable, groups: str, report: Report | None = None
    ) -> tuple[Calibration, pd.DataFrame]:
        """Correction of probabilities, and the curve of event scores, of recordings that are trained on."""
        probabilities = self.training.out_of_fold(table, groups, report)
        calibration = self.training.calibration(table, probabilities)
        scored = self.scored(table, [calibration(probability) for probability in probabilities])
        return calibration, event_curve(scored, self.alarms, self.rules)

    def train(self, table: FeatureTable, groups: str) -> Trained:
        """Train a detector on all recordings of a table."""
        calibration, curve = self.out_of_fold(table, groups)
        threshold = operating_point(curve, self.max_false_alarms_per_24h)
        return Trained(self.training.fit(table), calibration, threshold, curve)

    def test(self, trained: Trained, table: FeatureTable) -> list[ScoredRecording]:
        """Have a detector say what it finds in recordings that it has not seen."""
        found = [trained.calibration(one) for one in self.training.predict(trained.model, table)]
        return self.scored(table, found, trained.threshold)

    def scored(
        self, table: FeatureTable, probabilities: Sequence[Floats], threshold: float = UNCHOSEN
    ) -> list[ScoredRecording]:
        """Put what a detector said of recordings beside what is true."""
        return [
            ScoredRecording(
                recording=table.recordings["recording"].iloc[number],
                subject=table.recordings["subject"].iloc[number],
                duration_s=float(table.recordings["duration_s"].iloc[number]),
                step_s=table.step_s,
                probability=probability,
                score=self.alarms.score(probability, step_s=table.step_s),
                threshold=threshold,
                labels=table.labels(number),
                seizures=table.seizures(number),
                targets=table.targets(number),
                rises_bpm=np.array(table.recordings["rises_bpm"].iloc[number], dtype=np.float64),
            )
            for number, probability in enumerate(probabilities)
        ]
