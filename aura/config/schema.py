"""The shape of the configuration."""

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


@dataclass
class SubjectChannelsConfig:
    """Channel labels and unit of one subject, by the corpus's own id; null is that of the other subjects."""

    subject: str
    channels: list[str] | None = None
    unit: str | None = None


@dataclass
class WordsConfig:
    """See `aura.formats.vocabulary.Words`."""

    seizure: list[str]
    background: list[str]


@dataclass
class DatasetConfig:
    """Where the corpus is, how it is laid out, and which channel is its ECG."""

    name: str = field(metadata=COMPARED)
    root: str = field(metadata=PRIVATE)
    layouts: list[str] = field(metadata=COMPARED)
    channels: list[str] = field(metadata=COMPARED)
    unit: str | None = field(metadata=COMPARED)
    subject_channels: list[SubjectChannelsConfig] = field(metadata=LOGGED)
    # One file of it, by its path below the root, where the others are to be left aside.
    edf: str | None = field(metadata=PRIVATE)
    pseudonyms: bool = field(metadata=COMPARED)
    min_seizure_s: Annotated[float, Range(0.1, 60)] = field(metadata=COMPARED)
    words: WordsConfig = field(metadata=COMPARED)
    # Of the clock of the EDF files, such as Europe/Paris.
    timezone: str | None = field(metadata=COMPARED)
    synthesis: Synthesis | None = field(metadata=PRIVATE)


@dataclass
class QualityConfig:
    """See `aura.ecg.quality`."""

    flat_mv: Annotated[float, Range(0, 1)]
    max_mv: Annotated[float, Range(0.1, 1_000)]
    min_agreement: Annotated[float, Range(0, 1)]
    second_detector: dict[str, Any] | None


@dataclass
class PrepareConfig:
    """What a corpus has to be for the run not to be taken for a failure."""

    max_failed_share: Annotated[float, Range(0, 1)]
    needs_subject: bool


@dataclass
class CleaningConfig:
    """See `aura.features.cleaning`."""

    method: str
    low_ms: float
    high_ms: float
    max_change: float


@dataclass
class WindowsConfig:
    """Lengths per feature family and step."""

    step_s: float
    lengths_s: dict[str, Any]
    min_coverage: float


@dataclass
class FeaturesConfig:
    """Which families of features, and what computes them."""

    families: list[str]
    engine: str
    pnn_ms: list[float]


@dataclass
class TrainConfig:
    """See `aura.learning.training.Training`."""

    folds: Annotated[int, Range(2, 100)]
    interictal_per_ictal: Annotated[float | None, Range(0.1, 1_000_000)]
    calibrate: bool


@dataclass(frozen=True)
class ScoringConfig(EventRules):
    """How alarms are matched with seizures, and the false alarms that the threshold is chosen for."""

    max_false_alarms_per_24h: Annotated[float, Range(0, 86_400)] = 24.0


@dataclass
class ServingConfig:
    """See `aura.detection.detector.save_detector` and `aura.detection.detector.load_detector`."""

    runtime: str | None


@dataclass
class TrackingConfig:
    """Where runs and models are kept."""

    uri: str = field(metadata=PRIVATE)
    experiment: str = field(metadata=LOGGED)
    model_name: str = field(metadata=REPEATED)
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
    seed: Annotated[int, Range(0, 2**32 - 1)] = field(metadata=COMPARED)
    workspace: str = field(metadata=PRIVATE)
    # See `aura.execution.shares`.
    partition: str | None = field(metadata=LOGGED)
    question: str | None = field(metadata=LOGGED)
    # What it is called in the tables of others, where it is what they have to beat.
    baseline: str | None = field(metadata=LOGGED)
    # What was asked for on the command line.
    overrides: list[str] = field(default_factory=list, metadata=PRIVATE)

    def section(self, kind: type[Section]) -> Section:
        """Return the section that an entry point declared, by its class."""
        return next(value for value in vars(self).values() if type(value) is kind)

    @property
    def event_rules(self) -> EventRules:
        """How alarms are counted."""
        return EventRules(**{rule.name: getattr(self.scoring, rule.name) for rule in fields(EventRules)})

    @property
    def feature_spec(self) -> FeatureSpec:
        """What `aura.features.extract_features` computes."""
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
                # Without the family they decide nothing, and make no other table.
                pnn_ms=tuple(self.features.pnn_ms) if "pnn" in self.features.families else (),
            )
        except InvalidInput as error:
            raise AuraError(in_config_keys(str(error))) from error


def config_class() -> type[Config]:
    """Return `Config` with the sections of all entry points; what they do not declare otherwise is private."""
    return _extended(tuple(item for stage in find_stages().values() for item in stage.sections.items()))


@cache
def _extended(sections: tuple[tuple[str, type], ...]) -> type[Config]:
    added = [(key, kind, field(metadata=PRIVATE)) for key, kind in sections]
    return make_dataclass("Config", added, bases=(Config,), kw_only=True)
