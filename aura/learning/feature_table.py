"""The features of a corpus as training sees them: a recording at a time, with labels."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from aura.core.arrays import Bools, Ints, Singles
from aura.core.events import Event
from aura.features import feature_names
from aura.features.windows import window_ends
from aura.learning.labels import Labelling
from aura.workspace.features import FeatureStore


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Windows of some recordings, which are read when asked for, since a corpus may not fit into memory.

    Parameters
    ----------
    store
        Features on disk.
    recordings
        A row per recording, numbered from 0.
    step_s
        Time from one window to the next in seconds.
    labelling
        How windows are labelled.
    """

    store: FeatureStore
    recordings: pd.DataFrame
    step_s: float
    labelling: Labelling

    def select(self, chosen: Bools) -> "FeatureTable":
        """Return the table of the recordings where ``chosen``, an array of (n_recordings,), is true."""
        return replace(self, recordings=self.recordings[chosen].reset_index(drop=True))

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.recordings)

    @property
    def features(self) -> list[str]:
        """Names of the features, in the order of the columns of `read`."""
        return feature_names(pd.DataFrame(columns=self.store.columns(self._name(0))))

    def read(self, number: int) -> Singles:
        """Read the (n_windows, n_features) features of a recording."""
        frame = self.store.windows(self._name(number))
        x: Singles = frame[feature_names(frame)].to_numpy(dtype=np.float32)
        return x

    def labels(self, number: int) -> Ints:
        """Return the (n_windows,) labels of a recording, without reading its file."""
        end_s = window_ends(self.recordings["duration_s"].iloc[number], self.step_s)
        return self.labelling(end_s, step_s=self.step_s, seizures=self.seizures(number)).label

    def seizures(self, number: int) -> tuple[Event, ...]:
        """Return the annotated seizures of a recording."""
        return tuple(Event(onset_s, duration_s) for onset_s, duration_s in self.recordings["seizures"].iloc[number])

    def targets(self, number: int) -> tuple[Event, ...]:
        """Return the stretches of a recording in which an alarm is right."""
        return self.labelling.targets(self.seizures(number))

    def _name(self, number: int) -> str:
        return str(self.recordings["recording"].iloc[number])
