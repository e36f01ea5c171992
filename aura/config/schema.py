"""The shape of the configuration."""

from dataclasses import dataclass, field, fields
from typing import Any

from aura.config.scope import COMPARED, LOGGED, PRIVATE, REPEATED, SEARCHED
from aura.evaluation.scoring import EventRules
from aura.features.spec import FeatureSpec


@dataclass
class SynthesisConfig:
    """See `aura.synthetic.corpus.Synthesis`."""

    seed: int
    subjects: int
    hours_per_subject: float
    recording_minutes: float
    seizures_per_subject: float
    arousals_per_hour: float
    exercises_per_hour: float
    eeg_channels: int
    layout: str


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
    min_seizure_s: float = field(metadata=COMPARED)
    words: WordsConfig = field(metadata=COMPARED)
    # Of the clock of the EDF files, such as Europe/Paris.
    timezone: str | None = field(metadata=COMPARED)
    synthesis: SynthesisConfig | None = field(metadata=PRIVATE)


@dataclass
class QualityConfig:
    """See `aura.ecg.quality`."""

    flat_mv: float
    max_mv: float
    min_agreement: float
    second_detector: dict[str, Any] | None


@dataclass
class PrepareConfig:
    """What a corpus has to be for the run not to be taken for a failure."""

    max_failed_share: float
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

    folds: int
    interictal_per_ictal: float | None
    calibrate: bool


@dataclass
class ScoringConfig:
    """See `aura.evaluation.scoring.EventRules`; and how many false alarms the threshold is chosen for."""

    tolerance_before_s: float
    tolerance_after_s: float
    merge_gap_s: float
    max_event_s: float
    max_false_alarms_per_24h: float


@dataclass
class EvaluateConfig:
    """Address of the model that is evaluated."""

    model: str | None


@dataclass
class DetectConfig:
    """In what seizures are to be found, by which model, and where what was found is written, in which format."""

    edf: str | None
    model: str | None
    output: str
    format: str


@dataclass
class SweepConfig:
    """What is searched, for what, and where the study is kept."""

    n_trials: int = field(metadata=LOGGED)
    objectives: list[str] = field(metadata=LOGGED)
    space: dict[str, Any] | None = field(metadata=LOGGED)
    study: str | None = field(metadata=LOGGED)
    storage: str | None = field(metadata=PRIVATE)


@dataclass
class ServingConfig:
    """See `aura.detection.detector.SeizureDetector.save` and `aura.detection.detector.load_detector`."""

    runtime: str | None


@dataclass
class LiveConfig:
    """See `aura.stages.live`."""

    model: str | None
    source: str
    output: str
    state: str | None


@dataclass
class DatabaseConfig:
    """See `aura.stages.importing`."""

    url: str | None
    model: str | None
    ecg: str


@dataclass
class ExportConfig:
    """See `aura.stages.export_annotations`."""

    dataset: str | None
    output: str
    format: str
    grafana: str | None


@dataclass
class DumpConfig:
    """See `aura.stages.dump`."""

    dataset: str | None
    subjects: str | None
    output: str
    pseudonyms: bool


@dataclass
class RestoreConfig:
    """See `aura.stages.restore`."""

    dump: str | None


@dataclass
class BenchConfig:
    """What is measured, of which sizes, with how many workers; see `aura.stages.bench`."""

    stages: list[str]
    subjects: list[int]
    workers: list[int]


@dataclass
class TrackingConfig:
    """Where runs and models are kept."""

    uri: str = field(metadata=PRIVATE)
    experiment: str = field(metadata=LOGGED)
    model_name: str = field(metadata=REPEATED)
    champion_confidence: float = field(metadata=LOGGED)


@dataclass
class Config:
    """All of it; groups with a ``_target_`` are checked against what that takes.

    Each key declares its scope, see `aura.config.scope`.
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
    evaluate: EvaluateConfig = field(metadata=PRIVATE)
    detect: DetectConfig = field(metadata=PRIVATE)
    live: LiveConfig = field(metadata=PRIVATE)
    serving: ServingConfig = field(metadata=REPEATED)
    database: DatabaseConfig = field(metadata=PRIVATE)
    export: ExportConfig = field(metadata=PRIVATE)
    dump: DumpConfig = field(metadata=PRIVATE)
    restore: RestoreConfig = field(metadata=PRIVATE)
    bench: BenchConfig = field(metadata=PRIVATE)
    sweep: SweepConfig = field(metadata=LOGGED)
    scoring: ScoringConfig = field(metadata=COMPARED)
    tracking: TrackingConfig = field(metadata=LOGGED)
    compute: dict[str, Any] = field(metadata=PRIVATE)
    seed: int = field(metadata=COMPARED)
    workspace: str = field(metadata=PRIVATE)
    # See `aura.execution.shares`.
    partition: str | None = field(metadata=LOGGED)
    question: str | None = field(metadata=LOGGED)
    # What it is called in the tables of others, where it is what they have to beat.
    baseline: str | None = field(metadata=LOGGED)
    # What was asked for on the command line.
    overrides: list[str] = field(default_factory=list, metadata=PRIVATE)

    @property
    def event_rules(self) -> EventRules:
        """How alarms are counted."""
        return EventRules(**{rule.name: getattr(self.scoring, rule.name) for rule in fields(EventRules)})

    @property
    def feature_spec(self) -> FeatureSpec:
        """What `aura.features.extract` is to compute."""
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
