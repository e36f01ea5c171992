"""The configuration: its shape, its types, and what is refused before any work begins."""

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import hydra
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, ValidationError
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from aura.components import BEAT_DETECTORS, LABELLINGS, labelling
from aura.datasets.units import MILLIVOLTS
from aura.errors import AuraError
from aura.features.specification import FAMILIES, FeatureSpec
from aura.partition import share
from aura.scope import COMPARED, LOGGED, PRIVATE, REPEATED, SEARCHED
from aura.scoring import EventRules
from aura.synthetic.layouts import PLACES

PACKAGE = Path(__file__).resolve().parent
# A wheel carries conf/, experiments/ and deploy/graphene/ inside the package; a checkout has them beside it.
INSTALLED = (PACKAGE / "conf").is_dir()
SHIPPED = PACKAGE if INSTALLED else PACKAGE.parent
CONF = SHIPPED / "conf"
# Folder of mlflow.db: the checkout, or the current folder of an installation. conf/tracking/ reads the variable.
PROJECT = Path.cwd() if INSTALLED else PACKAGE.parent
os.environ["AURA_PROJECT"] = str(PROJECT)


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
    """See `aura.datasets.vocabulary.Words`."""

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
    """See `aura.quality`."""

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
    """See `aura.cleaning`."""

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
    """See `aura.training.Training`."""

    folds: int
    interictal_per_ictal: float | None
    calibrate: bool


@dataclass
class ScoringConfig:
    """See `aura.scoring.EventRules`; and how many false alarms the threshold is chosen for."""

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
    """See `aura.serving.save_detector` and `aura.serving.load_detector`."""

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

    Each key declares its scope, see `aura.scope`.
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
    # See `aura.partition`.
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


# What a number may be, beyond its type.
RANGES: Mapping[str, tuple[float, float]] = {
    "dataset.min_seizure_s": (0.1, 60),
    "quality.flat_mv": (0, 1),
    "quality.max_mv": (0.1, 1_000),
    "quality.min_agreement": (0, 1),
    "prepare.max_failed_share": (0, 1),
    "train.folds": (2, 100),
    "sweep.n_trials": (1, 1_000_000),
    "train.interictal_per_ictal": (0.1, 1_000_000),
    "scoring.tolerance_before_s": (0, 3_600),
    "scoring.tolerance_after_s": (0, 3_600),
    "scoring.merge_gap_s": (0, 3_600),
    "scoring.max_event_s": (1, 604_800),
    "tracking.champion_confidence": (0.5, 1),
    "scoring.max_false_alarms_per_24h": (0, 86_400),
    "dataset.synthesis.subjects": (2, 10_000),
    "dataset.synthesis.hours_per_subject": (0.1, 1_000),
    "dataset.synthesis.recording_minutes": (10, 1_440),
    "dataset.synthesis.seizures_per_subject": (1, 100),
    "dataset.synthesis.arousals_per_hour": (0, 100),
    "dataset.synthesis.exercises_per_hour": (0, 20),
    "dataset.synthesis.eeg_channels": (0, 23),
    "seed": (0, 2**32 - 1),
}


def checked(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """Turn what Hydra composed with some overrides into a checked configuration.

    Raises
    ------
    AuraError
        One sentence that names the key and what is allowed.
    """
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), composed))
    except OmegaConfBaseException as error:
        raise AuraError(sentence(error)) from error
    assert isinstance(config, Config)
    config.overrides = list(overrides)
    check_ranges(config)
    # The one names a folder, the other a part of an address; the second holds the first.
    for key, longest in (("dataset.name", 100), ("tracking.model_name", 200)):
        if not re.fullmatch(r"\w[\w.-]*", _lookup(config, key)):
            raise AuraError(f"{key}={_lookup(config, key)!r}; allowed are letters and digits, then also . _ and -")
        if len(_lookup(config, key)) > longest:
            raise AuraError(f"{key} has {len(_lookup(config, key))} characters; allowed are {longest}")
    # Refuses what is no share.
    share((), config.partition)
    if config.serving.runtime not in (None, "sklearn", "onnx"):
        raise AuraError(f"serving.runtime={config.serving.runtime}; allowed are sklearn, onnx")
    _check_families(config)
    _check_dataset(config.dataset)
    _check_components(config)
    for group, values in (
        ("compute", config.compute),
        ("split", config.split),
        ("alarms", config.alarms),
    ):
        _check_target(group, values, free=())
        try:
            instantiate(values)
        except HydraException as error:
            raise AuraError(str(error.__cause__ or error)) from error
    _check_target("model", config.model, free=("random_state",))
    return config


def check_ranges(config: Config) -> None:
    """Raise AuraError for a number that is out of its range."""
    for key, (low, high) in RANGES.items():
        value = _lookup(config, key)
        if value is not None and not low <= value <= high:
            raise AuraError(f"{key}={value:g} is out of range; allowed is {low:g} to {high:g}")


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose a checked configuration outside of the command line, as in a notebook or a test.

    Raises
    ------
    AuraError
        One sentence that names the key and what is allowed.
    """
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra.compose("config", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise AuraError(sentence(error)) from error
    return checked(composed, overrides)


def sentence(error: Exception) -> str:
    """Say on one line what is wrong with a configuration, and what is allowed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            known = ", ".join(str(key) for key in cause.parent_node or ()) or "none"
            return f"there is no key {cause.full_key}; allowed beside it are: {known}"
        if isinstance(cause, MissingMandatoryValue):
            also = ", or set AURA_DATA" if cause.full_key == "dataset.root" else ""
            return f"{cause.full_key} has no value; give one, such as {cause.full_key}=...{also}"
        if isinstance(cause, ValidationError):
            if "ListConfig" in str(cause.msg):
                return f"{cause.full_key} is a list; write {cause.full_key}=[...], in quotes for the shell"
            return f"{cause.full_key}: {str(cause.msg).splitlines()[0]}"
        cause = cause.__cause__
    text = str(error).split("Config search path")[0] if isinstance(error, HydraException) else str(error)
    return " ".join(text.split())


def _check_dataset(dataset: DatasetConfig) -> None:
    """Layouts and channels that there are."""
    if not dataset.root:
        raise AuraError("dataset.root is empty; give the folder of the recordings")
    if not dataset.layouts or not dataset.channels:
        raise AuraError("dataset.layouts or dataset.channels is empty; see conf/dataset/any.yaml for what there is")
    units = {"dataset.unit": dataset.unit}
    units |= {f"dataset.subject_channels[{i}].unit": one.unit for i, one in enumerate(dataset.subject_channels)}
    for key, unit in units.items():
        if unit is not None and unit not in MILLIVOLTS:
            raise AuraError(f"{key}={unit}; allowed are null, {', '.join(MILLIVOLTS)}")
    for layout in dataset.layouts:
        _import("dataset.layouts", layout)
    both = {*dataset.words.seizure} & {*dataset.words.background}
    if both or not all(word.strip() for word in (*dataset.words.seizure, *dataset.words.background)):
        raise AuraError("dataset.words: each word stands for seizure or for background, and none is empty")
    if dataset.timezone is not None:
        try:
            ZoneInfo(dataset.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise AuraError(
                f"dataset.timezone={dataset.timezone} is not a time zone; allowed are names such as Europe/Paris"
            ) from error
    if dataset.synthesis is not None and dataset.synthesis.layout not in PLACES:
        raise AuraError(f"dataset.synthesis.layout={dataset.synthesis.layout}; allowed are {', '.join(PLACES)}")


def _check_components(config: Config) -> None:
    """Labels and beat detectors that a saved model can name; two detectors that can disagree."""
    config.labels = LABELLINGS.to_config("labels", config.labels)
    # Refuses values that are out of range.
    labelling("labels", config.labels)
    config.detector = BEAT_DETECTORS.to_config("detector", config.detector)
    second = config.quality.second_detector
    if second is not None:
        config.quality.second_detector = BEAT_DETECTORS.to_config("quality.second_detector", second)
        if config.quality.second_detector == config.detector:
            raise AuraError("quality.second_detector is the detector itself, which agrees with itself; name another")


def _check_families(config: Config) -> None:
    """Every family known, with a list of windows; the rest is for `FeatureSpec` to say."""
    for family in config.features.families:
        if family not in FAMILIES:
            raise AuraError(f"features.families: no family is called {family!r}; allowed are {', '.join(FAMILIES)}")
        lengths_s = config.windows.lengths_s.get(family)
        if not isinstance(lengths_s, list) or not lengths_s or not all(_is_number(length) for length in lengths_s):
            raise AuraError(
                f"windows.lengths_s.{family}={lengths_s}; allowed is a list of window lengths in seconds, such as [60]"
            )
    for family in config.windows.lengths_s:
        if family not in FAMILIES:
            raise AuraError(f"there is no key windows.lengths_s.{family}; allowed are: {', '.join(FAMILIES)}")
    _ = config.feature_spec


def _check_target(group: str, values: Mapping[str, Any], *, free: tuple[str, ...]) -> None:
    """Check the keys of a group with a ``_target_`` against what that takes."""
    if "_target_" not in values:
        raise AuraError(f"{group}._target_ is missing; choose a file of conf/{group}, such as {group}=...")
    target = _import(f"{group}._target_", str(values["_target_"]))
    parameters = inspect.signature(target).parameters
    if any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        # It takes what it does not name, as LightGBM does; the first fit shows what is wrong.
        return
    allowed = [name for name in parameters if name not in free]
    for key in values:
        if key != "_target_" and key not in allowed:
            raise AuraError(f"there is no key {group}.{key}; allowed beside it are: {', '.join(allowed) or 'none'}")


def _import(key: str, name: str) -> Any:
    """What a dotted name stands for."""
    try:
        return get_object(name)
    except (HydraException, ImportError, ValueError) as error:
        extra = "; pip install 'aura-ecg[lightgbm]'" if name.startswith("lightgbm.") else ""
        raise AuraError(f"{key}: {name!r} cannot be imported{extra}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lookup(config: object, key: str) -> Any:
    """Value under a dotted key; None where a part of the way is None."""
    for name in key.split("."):
        config = getattr(config, name) if config is not None else None
    return config
