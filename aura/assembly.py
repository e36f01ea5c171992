"""Build domain objects from a configuration, for stages, sweeps and Graphene alike."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from hydra.errors import HydraException
from hydra.utils import get_class, instantiate

from aura.config.schema import Config
from aura.config.scope import Scope, select
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.core.former_paths import former_path
from aura.core.paths import PACKAGE
from aura.core.provenance import Origin
from aura.corpora.names import key_from_environment
from aura.detection.components import BEAT_DETECTORS, build_beat_detector
from aura.learning import splits
from aura.learning.labels import describe_task
from aura.learning.splits import Fold
from aura.synthetic.synthesis import MANIFEST
from aura.workspace import former
from aura.workspace.features import FeatureStore, FeatureWriter
from aura.workspace.folders import FEATURES, PREPARED, folder_name
from aura.workspace.prepared import PreparedCorpus, PreparedWriter

# scikit-learn and SciPy take a second to import, and most stages need one part of this module.
if TYPE_CHECKING:
    import pandas as pd

    from aura.detection.detector import SeizureDetector
    from aura.evaluation.recipe import Recipe, TrainedDetector
    from aura.learning.classifier import Classifier
    from aura.processing.preparation import Preparation

# Increase when the output of a stage changes its meaning; existing files are then made again.
FORMAT = 5
# Keys of a dataset that do not affect how its recordings are prepared. `subject_channels` affects single subjects, so
# their recordings are compared one by one.
NOT_IN_KEY = ("synthesis", "name", "subject_channels", "root")


def find_prepared(config: Config) -> PreparedCorpus | None:
    """Open the prepared corpus of a configuration; None unless it is current."""
    folder = _adopted(config, prepared_folder(config))
    return PreparedCorpus.find(folder, channels=channels_digest(config), root=_root(config))


def open_prepared(config: Config) -> PreparedCorpus:
    """Open the prepared corpus of a configuration; raise if it is missing."""
    return PreparedCorpus.open(_adopted(config, prepared_folder(config)), root=_root(config))


def prepared_writer(config: Config) -> PreparedWriter:
    """Return the writer of the prepared corpus of a configuration."""
    folder = _adopted(config, prepared_folder(config))
    return PreparedWriter(folder, _earlier(config, folder))


def find_features(config: Config, corpus: PreparedCorpus) -> FeatureStore | None:
    """Open the features of a configuration; None unless they are current for a prepared corpus."""
    return FeatureStore.find(_adopted(config, features_folder(config)), corpus)


def open_features(config: Config) -> FeatureStore:
    """Open the features of a configuration; raise if they are missing."""
    return FeatureStore.open(_adopted(config, features_folder(config)))


def feature_writer(config: Config) -> FeatureWriter:
    """Return the writer of the features of a configuration."""
    folder = _adopted(config, features_folder(config))
    return FeatureWriter(folder, _earlier(config, folder))


def prepared_folder(config: Config) -> Path:
    """Return the folder of the prepared corpus of a configuration."""
    return _folder(config, PREPARED, _prepared_digest(config))


def features_folder(config: Config) -> Path:
    """Return the folder of the features of a configuration."""
    return _folder(config, FEATURES, _features_digest(config, _prepared_digest(config)))


def channels_digest(config: Config) -> str:
    """Return a digest of the channels of single subjects; if it changes, only these subjects are prepared again."""
    return digest([asdict(channels) for channels in config.dataset.subject_channels])


def is_synthetic(config: Config) -> bool:
    """Return whether `synthesize` made the corpus, or a corpus that contains it."""
    root = Path(config.dataset.root).resolve()
    return config.dataset.synthesis is not None or any(
        (folder / MANIFEST).is_file() for folder in (root, *root.parents)
    )


def build_preparation(config: Config) -> "Preparation":
    """Build the preparation of recordings from a configuration."""
    from aura.formats.vocabulary import Words
    from aura.processing.leads import EcgChannel
    from aura.processing.preparation import Preparation

    second = config.quality.second_detector
    return Preparation(
        channel=EcgChannel(tuple(config.dataset.channels), config.dataset.unit),
        subject_channels={
            own.subject: EcgChannel(tuple(own.channels or config.dataset.channels), own.unit or config.dataset.unit)
            for own in config.dataset.subject_channels
        },
        detector=build_beat_detector("detector", config.detector),
        second_detector=None if second is None else build_beat_detector("quality.second_detector", second),
        flat_mv=config.quality.flat_mv,
        max_mv=config.quality.max_mv,
        min_agreement=config.quality.min_agreement,
        min_seizure_s=config.dataset.min_seizure_s,
        words=Words(tuple(config.dataset.words.seizure), tuple(config.dataset.words.background)),
        timezone=None if config.dataset.timezone is None else ZoneInfo(config.dataset.timezone),
    )


def prepared_settings(config: Config) -> dict[str, Any]:
    """Return all settings that affect how recordings are prepared, by short name, without the root."""
    dataset = {name: value for name, value in asdict(config.dataset).items() if name not in NOT_IN_KEY}
    layouts = [name.rpartition(".")[2] if name.startswith("aura.") else name for name in config.dataset.layouts]
    # The names of recordings depend on the key of the pseudonyms.
    key = hashlib.sha256(b"folder" + key_from_environment()).hexdigest() if config.dataset.pseudonyms else None
    second = config.quality.second_detector
    saved = None if second is None else BEAT_DETECTORS.to_saved("quality.second_detector", second)
    return {
        "dataset": {**dataset, "layouts": layouts, "pseudonyms": key},
        "quality": {**asdict(config.quality), "second_detector": saved},
        "detector": BEAT_DETECTORS.to_saved("detector", config.detector),
        "made_by": [version(name) for name in ("sleepecg", "neurokit2")],
    }


def _prepared_digest(config: Config) -> str:
    """Compute a digest of the settings of prepare."""
    return digest(FORMAT, prepared_settings(config))


def _features_digest(config: Config, prepared: str) -> str:
    """Compute a digest of the settings of featurize and the digest of the prepared corpus."""
    made_by = [version(name) for name in ("hrv-analysis", "nolds")] if config.features.engine == "hrv_analysis" else []
    return digest(prepared, config.feature_spec.to_dict(), made_by)


def _folder(config: Config, kind: str, settings: str) -> Path:
    """Return the folder for a digest of settings."""
    return Path(config.workspace) / config.dataset.name / folder_name(kind, settings, Path(config.dataset.root))


def _earlier(config: Config, folder: Path) -> tuple[Path, ...]:
    """Return the folders with the same settings and another root, left by a corpus that was moved or mounted elsewhere.

    There are none if recordings need no subject: the folders of two patients can hold files of the same name, size and
    time.
    """
    if not config.prepare.needs_subject:
        return ()
    settings, _, _ = folder.name.rpartition("-")
    return tuple(sorted(path for path in folder.parent.glob(f"{settings}-*") if path != folder))


def _adopted(config: Config, folder: Path) -> Path:
    """Return the folder, after renaming a folder of an earlier version to it."""
    if not folder.exists():
        kind = folder.name.partition("-")[0]
        key = former.prepared_digest(prepared_settings(config), Path(config.dataset.root))
        if kind == FEATURES:
            key = _features_digest(config, key)
        former.rename(folder.with_name(f"{kind}-{key}"), folder)
    return folder


def _root(config: Config) -> Path | None:
    """Return the folder of the corpus; None if the tables hold pseudonyms, which do not lead to its files."""
    return None if config.dataset.pseudonyms else Path(config.dataset.root)


def build_recipe(config: Config) -> "Recipe":
    """Build the recipe that trains and scores detectors, and check the model by fitting it to a few rows.

    Raises
    ------
    AuraError
        If the model does not accept its parameters, or cannot be served.
    """
    from aura.evaluation.recipe import Recipe
    from aura.features import list_features
    from aura.learning.training import Training, check_parameters

    compute = instantiate(config.compute)
    accepted = inspect.signature(get_class(config.model["_target_"])).parameters
    columns = list_features(config.feature_spec)
    defaults = {"random_state": config.seed, "n_jobs": compute.n_workers, "columns": columns}
    values = {**{name: value for name, value in defaults.items() if name in accepted}, **config.model}
    make_model: Callable[[], Classifier] = partial(instantiate, values, _convert_="all")
    try:
        check_parameters(make_model, len(columns))
    except HydraException as error:
        raise AuraError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error
    training = Training(
        make_model,
        config.train.interictal_per_ictal,
        config.train.max_windows,
        config.train.folds,
        config.train.calibrate,
        config.seed,
        compute.n_workers,
    )
    return Recipe(training, instantiate(config.alarms), config.event_rules, config.scoring.max_false_alarms_per_24h)


def build_folds(config: Config, recordings: "pd.DataFrame") -> list[Fold]:
    """Build the folds of the configured split, and check that training and test sides are disjoint."""
    split = instantiate(config.split, _convert_="all")
    folds: list[Fold] = split(recordings, seed=config.seed)
    splits.check_folds(folds, recordings, personal=split.personal)
    return folds


def is_personal(config: Config) -> bool:
    """Return whether each detector is trained for one subject."""
    return bool(instantiate(config.split).personal)


def choose_groups(config: Config) -> str:
    """Return the column of the table of recordings by which the training side is divided into folds."""
    return "recording" if is_personal(config) else "subject"


def build_detector(config: Config, trained: "TrainedDetector", recipe: "Recipe", origin: Origin) -> "SeizureDetector":
    """Build the detector from a trained model, its recipe and its origin."""
    from aura.detection.detector import SeizureDetector

    return SeizureDetector(
        trained.model,
        config.feature_spec,
        trained.calibration,
        recipe.alarms,
        trained.threshold,
        config.labels,
        {"detector": config.detector, "quality": asdict(config.quality)},
        origin,
    )


def compute_test_digest(config: Config, recordings: "pd.DataFrame") -> str:
    """Compute a digest of test recordings, task and scoring rules; equal digests mean comparable scores."""
    facts = recordings[["recording", "subject", "duration_s"]].to_dict("list")
    seizures = [[list(map(float, pair)) for pair in pairs] for pairs in recordings["seizures"]]
    return digest(facts, seizures, _name_task(config.labels), list(astuple(config.event_rules)))


def compute_data_digest(recordings: "pd.DataFrame", labels: Mapping[str, Any]) -> str:
    """Compute a digest of the labelled corpus: recordings, durations, seizures and task; not features or detectors."""
    facts = recordings[["recording", "subject", "split", "duration_s", "n_seizures", "seizure_s"]]
    return digest(facts.astype({"split": "object"}).where(facts.notna(), None).to_dict("list"), _name_task(labels))


def compute_fingerprint(config: Config, recordings: "pd.DataFrame") -> str:
    """Compute a digest of all that decides a model and its promotion: settings, recordings, code and libraries.

    Parameters
    ----------
    config
        Configuration of the training.
    recordings
        Rows of the annotated recordings in the table of the prepared corpus.
    """
    from aura.detection.detector import REQUIREMENTS

    facts = recordings[["recording", "subject", "split", "duration_s", "digest"]].sort_values("recording")
    settings = select(type(config), asdict(config), Scope.COMPARED)
    tracking = config.tracking
    registration = [tracking.model_name, tracking.champion_confidence, config.baseline, is_synthetic(config)]
    library = config.model["_target_"].partition(".")[0]
    names = {*REQUIREMENTS, *({library} & {"lightgbm"})}
    return digest(
        settings,
        registration,
        config.serving.runtime,
        channels_digest(config),
        facts.astype({"split": "object"}).where(facts.notna(), None).to_dict("list"),
        {name: version(name) for name in names},
        _digest_code(),
    )


@cache
def _digest_code() -> str:
    """Compute a digest of the code of the package, which is part of each logged model; once, since it was imported."""
    files = sorted(PACKAGE.rglob("*.py"))
    return digest([[path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")] for path in files])


def _name_task(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task as earlier versions named it, so that their runs stay comparable with new ones."""
    task = describe_task(labels)
    return {**task, "_target_": former_path(task["_target_"])}
