"""Build domain objects from a configuration, for stages, sweeps and Graphene alike."""

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
from aura.learning.labels import task
from aura.learning.splits import Fold
from aura.learning.training import Training, check_parameters


def build_recipe(config: Config) -> Recipe:
    """Build the recipe by which detectors are trained and scored; fit the model to a few rows first, as a check.

    Raises
    ------
    AuraError
        If the model does not accept its parameters, or cannot be served.
    """
    compute = instantiate(config.compute)
    accepted = inspect.signature(get_class(config.model["_target_"])).parameters
    columns = names_of(config.feature_spec)
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
        config.train.folds,
        config.train.calibrate,
        config.seed,
        compute.n_workers,
    )
    return Recipe(training, instantiate(config.alarms), config.event_rules, config.scoring.max_false_alarms_per_24h)


def build_folds(config: Config, recordings: pd.DataFrame) -> list[Fold]:
    """Build the folds of the configured split, and check that training and test sides are disjoint."""
    split = instantiate(config.split, _convert_="all")
    folds: list[Fold] = split(recordings, seed=config.seed)
    splits.check(folds, recordings, personal=split.personal)
    return folds


def is_personal(config: Config) -> bool:
    """Return whether each detector is trained for one subject."""
    return bool(instantiate(config.split).personal)


def choose_groups(config: Config) -> str:
    """Return the column of the table of recordings whose values stay together in the folds of a training side."""
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
    """Digest test recordings, task and rules of scoring; equal digests mean comparable scores."""
    facts = recordings[["recording", "subject", "duration_s"]].to_dict("list")
    seizures = [[list(map(float, pair)) for pair in pairs] for pairs in recordings["seizures"]]
    return digest(facts, seizures, task(config.labels), list(astuple(config.event_rules)))


def compute_data_digest(recordings: pd.DataFrame, labels: Mapping[str, Any]) -> str:
    """Digest the labelled corpus: recordings, durations, seizures and the task, but not features or detectors."""
    facts = recordings[["recording", "subject", "split", "duration_s", "n_seizures", "seizure_s"]]
    return digest(facts.astype({"split": "object"}).where(facts.notna(), None).to_dict("list"), task(labels))
