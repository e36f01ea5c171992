"""Configuration to domain objects, alike for stages, sweeps and Graphene."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple
from functools import partial
from typing import Any

import pandas as pd
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.core.provenance import Origin
from aura.detection.detector import SeizureDetector
from aura.evaluation.recipe import Recipe, TrainedDetector
from aura.features import names_of
from aura.learning import splits
from aura.learning.classifier import Classifier
from aura.learning.labels import describe_task
from aura.learning.splits import Fold
from aura.learning.training import Training, check_parameters


def build_recipe(config: Config) -> Recipe:
    """Build the recipe by which detectors are trained and scored; the model is first tried on a few rows.

    Raises
    ------
    AuraError
        If the model does not take its parameters, or could not be served.
    """
    compute = instantiate(config.compute)
    taken = inspect.signature(get_class(config.model["_target_"])).parameters
    columns = names_of(config.feature_spec)
    defaults = {"random_state": config.seed, "n_jobs": compute.n_workers, "columns": columns}
    values = {**{name: value for name, value in defaults.items() if name in taken}, **config.model}
    make_model: Callable[[], Classifier] = partial(instantiate, values, _convert_="all")
    try:
        check_parameters(make_model, len(columns))
    except HydraException as error:
        raise AuraError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error
    training = Training(
        make_model,
        config.train.interictal_per_ictal,
        config.train.folds,
        config.train.calibrate,
        config.seed,
        compute.n_workers,
    )
    return Recipe(training, instantiate(config.alarms), config.event_rules, config.scoring.max_false_alarms_per_24h)


def build_folds(config: Config, recordings: pd.DataFrame) -> list[Fold]:
    """Build the folds of the configuration's split, and check that no fold leaks."""
    split = instantiate(config.split, _convert_="all")
    folds: list[Fold] = split(recordings, seed=config.seed)
    splits.check_folds(folds, recordings, personal=split.personal)
    return folds


def is_personal(config: Config) -> bool:
    """Whether each detector is for one subject."""
    return bool(instantiate(config.split).personal)


def choose_groups(config: Config) -> str:
    """Return the column of the table of recordings whose values stay together within a training side."""
    return "recording" if is_personal(config) else "subject"


def build_detector(config: Config, trained: TrainedDetector, recipe: Recipe, origin: Origin) -> SeizureDetector:
    """Build the detector that is saved and registered."""
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


def compute_test_digest(config: Config, recordings: pd.DataFrame) -> str:
    """Digest what a detector is tested on and by which rules; equal digests mean comparable scores."""
    known = recordings[["recording", "subject", "duration_s"]].to_dict("list")
    seizures = [[list(map(float, pair)) for pair in pairs] for pairs in recordings["seizures"]]
    return digest(known, seizures, describe_task(config.labels), list(astuple(config.event_rules)))


def compute_data_digest(recordings: pd.DataFrame, labels: Mapping[str, Any]) -> str:
    """Digest the labelled corpus: subjects, durations, seizures and the task. Features and detectors do not count."""
    known = recordings[["recording", "subject", "split", "duration_s", "n_seizures", "seizure_s"]]
    return digest(known.astype({"split": "object"}).where(known.notna(), None).to_dict("list"), describe_task(labels))
