"""Sections and keys of the configuration, with their types, ranges and scopes."""

from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar

from aura.config.scope import COMPARED, LOGGED, PRIVATE, REPEATED, SEARCHED
from aura.config.spec_keys import in_config_keys
from aura.config.stage import find_stages
from aura.core.errors import AuraError, InvalidInput
from aura.core.ranges import Range
from aura.evaluation.scoring import EventRules
from aura.features.spec import FeatureSpec
from aura.synthetic.synthesis import Synthesis

Section = TypeVar("Section")
# Values of tracking.register, see conf/tracking/mlflow.yaml.
REGISTER = ("auto", "never", "always")


@dataclass
class SubjectChannelsConfig:
    """ECG channels and unit of one subject, by the id in the corpus; null means the same as for other subjects."""

    subject: str
    channels: list[str] | None = None
    unit: str | None = None


@dataclass
class WordsConfig:
    """Words of annotations, as in `aura.formats.vocabulary.Words`."""

    seizure: list[str]
    background: list[str]


@dataclass
class DatasetConfig:
    """The corpus: its place, its layouts, its ECG channels and the meaning of its annotations."""

    name: str = field(metadata=COMPARED)
    root: str = field(metadata=PRIVATE)
    layouts: list[str] = field(metadata=COMPARED)
    channels: list[str] = field(metadata=COMPARED)
    unit: str | None = field(metadata=COMPARED)
    subject_channels: list[SubjectChannelsConfig] = field(metadata=LOGGED)
    # Restrict the corpus to one EDF file, by its path below root.
    edf: str | None = field(metadata=PRIVATE)
    pseudonyms: bool = field(metadata=COMPARED)
    min_seizure_s: Annotated[float, Range(0.1, 60)] = field(metadata=COMPARED)
    words: WordsConfig = field(metadata=COMPARED)
    # Time zone of the clock of the EDF files, such as Europe/Paris.
    timezone: str | None = field(metadata=COMPARED)
    synthesis: Synthesis | None = field(metadata=PRIVATE)


@dataclass
class QualityConfig:
    """Limits of a usable ECG, as in `aura.ecg.quality`."""

    flat_mv: Annotated[float, Range(0, 1)]
    max_mv: Annotated[float, Range(0.1, 1_000)]
    min_agreement: Annotated[float, Range(0, 1)]
    second_detector: dict[str, Any] | None


@dataclass
class PrepareConfig:
    """Conditions under which a recording, or the whole run, fails."""

    max_failed_share: Annotated[float, Range(0, 1)]
    needs_subject: bool


@dataclass
class CleaningConfig:
    """Limits of normal intervals, as in `aura.features.cleaning`."""

    method: str
    low_ms: float
    high_ms: float
    max_change: float


@dataclass
class WindowsConfig:
    """Step, lengths per feature family, and least coverage of windows."""

    step_s: float
    lengths_s: dict[str, Any]
    min_coverage: float


@dataclass
class FeaturesConfig:
    """Feature families, and the engine that computes them."""

    families: list[str]
    engine: str
    pnn_ms: list[float]


@dataclass
class TrainConfig:
    """Folds, sampling and calibration, as in `aura.learning.training.Training`."""

    folds: Annotated[int, Range(2, 100)]
    interictal_per_ictal: Annotated[float | None, Range(0.1, 1_000_000)]
    max_windows: Annotated[int | None, Range(1_000, 1_000_000_000)]
    calibrate: bool


@dataclass(frozen=True)
class ScoringConfig(EventRules):
    """How alarms are matched with seizures, and the false alarms that the threshold is chosen for."""

    max_false_alarms_per_24h: Annotated[float, Range(0, 86_400)] = 24.0


@dataclass
class ServingConfig:
    """Runtime of a model, as in `aura.detection.detector.save_detector` and `load_detector`."""

    runtime: str | None


@dataclass
class TrackingConfig:
    """Tracking server, experiment, name of the model, when it is registered, and the rule for a new champion."""

    uri: str = field(metadata=PRIVATE)
    experiment: str = field(metadata=LOGGED)
    model_name: str = field(metadata=REPEATED)
    register: str = field(metadata=LOGGED)
    champion_confidence: Annotated[float, Range(0.5, 1)] = field(metadata=LOGGED)


@dataclass
class Config:
    """The configuration without the sections of the entry points, which `config_class` adds.

    Groups with a ``_target_`` are checked against the parameters of the target. Each key declares its scope, see
    `aura.config.scope`.
    """

    dataset: DatasetConfig = field(metadata=COMPARED)
    detector: dict[str, Any] = field(metadata=SEARCHED)
    quality: QualityConfig = field(metadata=SEARCHED)
    prepare: PrepareConfig = field(metadata=REPEATED)
    cleaning: CleaningConfig = field(metadata=SEARCHED)
    windows: WindowsConfig = field(metadata=SEARCHED)
    features: FeaturesConfig = field(metadata=SEARCHED)
    labels: dict[str, Any] = field(metadata=COMPARED)
    split: dict[str, Any] = field(metadata=COMPARED)
    train: TrainConfig = field(metadata=SEARCHED)
    model: dict[str, Any] = field(metadata=SEARCHED)
    alarms: dict[str, Any] = field(metadata=SEARCHED)
    serving: ServingConfig = field(metadata=REPEATED)
    scoring: ScoringConfig = field(metadata=COMPARED)
    tracking: TrackingConfig = field(metadata=LOGGED)
    compute: dict[str, Any] = field(metadata=PRIVATE)
    # Private, since only the run of a sweep logs them.
    sampler: dict[str, Any] = field(metadata=PRIVATE)
    pruner: dict[str, Any] = field(metadata=PRIVATE)
    seed: Annotated[int, Range(0, 2**32 - 1)] = field(metadata=COMPARED)
    workspace: str = field(metadata=PRIVATE)
    # See `aura.execution.shares`.
    partition: str | None = field(metadata=LOGGED)
    question: str | None = field(metadata=LOGGED)
    # Name under which other runs list this one as a baseline.
    baseline: str | None = field(metadata=LOGGED)
    # Overrides of the command line.
    overrides: list[str] = field(default_factory=list, metadata=PRIVATE)
    # Option of each group, such as random_forest of model.
    choices: dict[str, str] = field(default_factory=dict, metadata=PRIVATE)

    def section(self, kind: type[Section]) -> Section:
        """Return the section that an entry point declared, by its class."""
        return next(value for value in vars(self).values() if type(value) is kind)

    @property
    def event_rules(self) -> EventRules:
        """Rules by which alarms are counted."""
        return EventRules(**{rule.name: getattr(self.scoring, rule.name) for rule in fields(EventRules)})

    @property
    def feature_spec(self) -> FeatureSpec:
        """Specification of the features, for `aura.features.extract_features`."""
        try:
            return FeatureSpec(
                lengths_s=tuple(
                    (family, tuple(float(length) for length in self.windows.lengths_s[family]))
                    for family in self.features.families
                ),
                step_s=self.windows.step_s,
                min_coverage=self.windows.min_coverage,
                low_ms=self.cleaning.low_ms,
                high_ms=self.cleaning.high_ms,
                max_change=self.cleaning.max_change,
                engine=self.features.engine,
                cleaning=self.cleaning.method,
                # Without the family, the thresholds must not change the digest of the table.
                pnn_ms=tuple(self.features.pnn_ms) if "pnn" in self.features.families else (),
            )
        except InvalidInput as error:
            raise AuraError(in_config_keys(str(error))) from error


def config_class() -> type[Config]:
    """Return `Config` with the sections of all entry points, which are private unless their fields say otherwise."""
    return _extended(tuple(item for stage in find_stages().values() for item in stage.sections.items()))


@cache
def _extended(sections: tuple[tuple[str, type], ...]) -> type[Config]:
    added = [(key, kind, field(metadata=PRIVATE)) for key, kind in sections]
    return make_dataclass("Config", added, bases=(Config,), kw_only=True)
