"""The feature table as training sees it: a recording at a time, labelled."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from aura.core.arrays import Bools, Ints, Singles
from aura.core.events import Event
from aura.features import feature_names
from aura.features.windows import window_ends
from aura.learning.labels import Labelling


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Windows of some recordings, which are read when they are asked for; a corpus may not fit into memory.

    Parameters
    ----------
    folder
        Where featurize left them.
    recordings
        A row per recording, numbered from 0.
    step_s
        Time from one window to the next.
    labelling
        What a window is to teach.
    """

    folder: Path
    recordings: pd.DataFrame
    step_s: float
    labelling: Labelling

    def of(self, chosen: Bools) -> "FeatureTable":
        """Those of some of the recordings."""
        return replace(self, recordings=self.recordings[chosen].reset_index(drop=True))

    def __len__(self) -> int:
        """Give the number of recordings."""
        return len(self.recordings)

    @property
    def features(self) -> list[str]:
        """Names of the features, in the order of the columns of `read`."""
        return feature_names(pq.read_schema(self._path(0)).empty_table().to_pandas())

    def read(self, number: int) -> Singles:
        """(n_windows, n_features) features of a recording."""
        frame = pq.read_table(self._path(number)).to_pandas()
        x: Singles = frame[feature_names(frame)].to_numpy(dtype=np.float32)
        return x

    def labels(self, number: int) -> Ints:
        """(n_windows,) labels of a recording, which need no reading."""
        end_s = window_ends(self.recordings["duration_s"].iloc[number], self.step_s)
        return self.labelling(end_s, step_s=self.step_s, seizures=self.seizures(number)).label

    def seizures(self, number: int) -> tuple[Event, ...]:
        """Annotated seizures of a recording."""
        return tuple(Event(onset_s, duration_s) for onset_s, duration_s in self.recordings["seizures"].iloc[number])

    def targets(self, number: int) -> tuple[Event, ...]:
        """Stretches of a recording in which an alarm is right."""
        return self.labelling.targets(self.seizures(number))

    def _path(self, number: int) -> Path:
        return self.folder / "windows" / f"{self.recordings['recording'].iloc[number]}.parquet"
