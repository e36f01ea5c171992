"""Load registered detectors, with their provenance."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from aura.config.schema import Config
from aura.core.arrays import Bools
from aura.core.errors import AuraError, OutageError, without_credentials
from aura.core.provenance import ModelFolder, Origin, Provenance
from aura.detection.components import LABELLINGS
from aura.detection.detector import DETECTOR_FILE, SeizureDetector, load_detector
from aura.reports.model_card import SYNTHETIC as SYNTHETIC_CARD
from aura.tracking import outages, runs

CHAMPION, CHALLENGER = "champion", "challenger"
# Tags of a version, by which the default model is chosen.
TAG_PROMOTION, TAG_SYNTHETIC, TAG_LABELS, TAG_BASELINE = (
    f"aura.{name}" for name in ("promotion", "synthetic_training", "labels", "baseline")
)
# Suffix of the name of a candidate model, which is tested before it is used; the Airflow DAG registers such models.
CANDIDATE = "-candidate"
# Keys of the command line that name a corpus or its model.
NAMING_KEYS = ("dataset", "dataset.name", "tracking.model_name")
MAX_MODELS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A detector from the registry, a run or a folder, with its provenance."""

    detector: SeizureDetector
    provenance: Provenance

    @property
    def name(self) -> str:
        """Name and version, or the address of a detector that is not registered."""
        return self.provenance.name

    @property
    def run_id(self) -> str:
        """Run that trained it; empty if that is not recorded."""
        return self.provenance.run_id

    def has_seen(self, dataset: str, recordings: pd.DataFrame) -> Bools | None:
        """Return whether the detector was trained on the subject of each recording; None if that is not recorded.

        It was trained on a subject if a training subject of the same corpus has the same name, or if a training
        recording of any corpus has the very same beats.

        Parameters
        ----------
        dataset
            Name of the corpus of the recordings.
        recordings
            Table of recordings with ``subject`` and ``rr_digest``.

        Returns
        -------
        (n_recordings,) Bools or None
        """
        if not self.run_id or not runs.has_artifact(self.run_id, "split.json"):
            return None
        split = mlflow.artifacts.load_dict(f"runs:/{self.run_id}/split.json")
        if "train_beats" not in split:
            return None
        seen = recordings["rr_digest"].isin(split["train_beats"])
        if split["dataset"] == [dataset]:
            seen |= recordings["subject"].isin(split["train"])
        return recordings["subject"].isin(set(recordings["subject"][seen])).to_numpy(dtype=np.bool_)


def load(uri: str, *, runtime: str | None = None) -> Registered:
    """Load a detector by its address, such as ``models:/aura-seizure-detector-ours@champion`` or ``runs:/.../model``.

    A folder that holds a model is an address too, and needs no tracking server. What such a folder states about its
    version, run and origin is its own claim.

    Nothing in the model is imported or run, so it may come from a stranger; see `aura.detection.detector_file`.

    Parameters
    ----------
    uri
        Address of the model.
    runtime
        Runtime to use instead of the saved one; see `aura.detection.detector.load_detector`.

    Raises
    ------
    OutageError
        If the tracking server does not answer.
    AuraError
        If there is no such model, or it cannot be used.
    """
    local = Path(local_file_uri_to_path(uri))
    try:
        # For a folder, MLflow would ask the server for the model that was logged from it.
        folder = local if local.is_dir() else Path(mlflow.artifacts.download_artifacts(_find_model_of_run(uri)))
    except (MlflowException, OSError) as error:
        raise _explain_missing(uri, error) from error
    if not list(folder.glob(f"data/*/{DETECTOR_FILE}")):
        raise AuraError(f"model={uri} is not a seizure detector of Aura")
    try:
        logged = ModelFolder.read(folder)
        detector = load_detector(folder, runtime=runtime)
    except AuraError as error:
        raise AuraError(f"model={uri} cannot be used: {error}") from error
    is_confirmed = not local.is_dir() and uri.startswith(("models:/", "runs:/"))
    try:
        model, version, run_id = _identity(uri, logged) if is_confirmed else (_claim(logged), "", "")
        origin = detector.origin if detector.origin.corpus else _read_former_origin(logged, model, version, run_id)
    except MlflowException as error:
        raise _explain_missing(uri, error) from error
    return Registered(
        detector,
        Provenance(
            model=model,
            version=version,
            run_id=run_id,
            origin=origin,
            threshold=detector.threshold,
            software=runs.software(),
            date=runs.today(),
            is_confirmed=is_confirmed,
        ),
    )


def _find_model_of_run(uri: str) -> str:
    """Return the address of the only model of a run for ``runs:/RUN/model``, whatever its name; else the address."""
    match = re.fullmatch(r"runs:/([0-9a-f]{32})(/model)?/?", uri)
    if match is None or not runs.exists(match[1]):
        return uri
    models = mlflow.get_run(match[1]).outputs.model_outputs
    return f"models:/{models[0].model_id}" if len(models) == 1 else uri


def _explain_missing(uri: str, error: Exception) -> AuraError:
    """Return the error for a model that MLflow could not load."""
    if isinstance(error, MlflowException) and outages.is_outage(error):
        return OutageError(f"MLflow at {outages.place()} does not answer")
    return AuraError(
        f"model={uri} is not a model of {outages.place()}: {_line(error)}; run aura train, or name the folder of a "
        "model"
    )


def _identity(uri: str, logged: ModelFolder) -> tuple[str, str, str]:
    """Return name, version and run of a model of the tracking server; for a model of a run, its address and no version.

    MLflow writes the version into a folder that it downloads from the registry. In the folder of a run, the same file
    is whatever was logged there.
    """
    if not logged.version or not uri.startswith((f"models:/{logged.model}/", f"models:/{logged.model}@")):
        return uri, "", logged.run_id
    run_id = mlflow.MlflowClient().get_model_version(logged.model, logged.version).run_id
    return logged.model, logged.version, run_id or ""


def _claim(logged: ModelFolder) -> str:
    """Return the name of a model in a folder; its registered name is only its own claim."""
    claimed = f", which says it is {logged.model} version {logged.version}" if logged.model and logged.version else ""
    return f"a folder{claimed}"


def _read_former_origin(logged: ModelFolder, model: str, version: str, run_id: str) -> Origin:
    """Read the origin of a version registered before detectors recorded it, from its run and its model card."""
    corpus, synthetic = "", None
    if run_id and runs.exists(run_id):
        corpus = mlflow.get_run(run_id).data.params.get("dataset.name", "")
    if version:
        card = mlflow.MlflowClient().get_model_version(model, version).description or ""
        synthetic = SYNTHETIC_CARD in card if card else None
    return Origin(corpus=corpus, synthetic=synthetic, date=logged.date)


def load_or_default(config: Config, address: str | None) -> Registered:
    """Load the detector at an address, or else the default detector, and say on stderr which one that is."""
    if address is None:
        address, reason = default_address(config)
        print(f"model={address} is used: it is {reason}", file=sys.stderr)
    return load(address, runtime=config.serving.runtime)


def default_address(config: Config) -> tuple[str, str]:
    """Return the address of the default detector, and why it is the default.

    It is the champion of the corpus that the command line names; otherwise the only champion; otherwise the only
    champion that was trained on recordings of people. Baselines, models of another task, and candidates that the
    command line does not name are ignored.

    Raises
    ------
    AuraError
        If there is no such champion, or more than one.
    """
    own = config.tracking.model_name
    task = LABELLINGS.resolve("labels", config.labels)[0]
    champions = {version.name: version for version in _list_champions() if _task(version) == task}
    is_named = any(word.split("=")[0].lstrip("+") in NAMING_KEYS for word in config.overrides)
    used = [name for name in champions if not name.endswith(CANDIDATE)]
    real = [name for name in used if champions[name].tags.get(TAG_SYNTHETIC) == "false"]
    choices = {
        "the champion of this corpus": [own] if is_named and own in champions else [],
        "the only champion": used,
        "the only champion that was trained on recordings of people": real,
    }
    for reason, names in choices.items():
        if len(names) == 1:
            return f"models:/{names[0]}@{CHAMPION}", f"{reason} at {outages.place()}"
    if not used:
        raise AuraError(
            f"no detector is registered at {outages.place()}; run aura train, or write model= with its address"
        )
    raise AuraError(
        f"several detectors are registered, but none for this corpus: {', '.join(sorted(used))}; write "
        f"model=models:/NAME@{CHAMPION}"
    )


def _list_champions() -> list[ModelVersion]:
    """List the champions that Aura registered, except baselines."""
    client = mlflow.MlflowClient()
    try:
        champions = [
            client.get_model_version(model.name, model.aliases[CHAMPION])
            for model in client.search_registered_models(max_results=MAX_MODELS)
            if CHAMPION in model.aliases
        ]
    except MlflowException as error:
        raise OutageError(f"the registry at {outages.place()} does not answer: {_line(error)}") from error
    # Versions registered earlier have no tag for baselines, but their names tell.
    return [
        version
        for version in champions
        if TAG_PROMOTION in version.tags
        and not version.tags.get(TAG_BASELINE)
        and not version.name.startswith("aura-baseline")
    ]


def _task(version: ModelVersion) -> str:
    """Return the short name of the labels of a version; the name of the model tells it for versions without a tag."""
    return str(version.tags.get(TAG_LABELS) or ("forecasting" if "forecaster" in version.name else "detection"))


def _line(error: Exception) -> str:
    return without_credentials(" ".join(str(error).split()))
