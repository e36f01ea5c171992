"""The registry: who is the champion, and what registered versions are made of."""

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
from aura.detection.detector import SeizureDetector, load_detector
from aura.reports.model_card import SYNTHETIC as SYNTHETIC_CARD
from aura.tracking import runs

CHAMPION, CHALLENGER = "champion", "challenger"
# Tags of a version, by which it is chosen where none is named.
TAG_PROMOTION, TAG_SYNTHETIC, TAG_LABELS, TAG_BASELINE = (
    f"aura.{name}" for name in ("promotion", "synthetic_training", "labels", "baseline")
)
# End of the name of a model that is tried beside the one that is used; the Airflow DAG registers such models.
CANDIDATE = "-candidate"
# Words of a command line that name a corpus or its model.
NAMING = ("dataset", "dataset.name", "tracking.model_name")
MOST_MODELS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A detector from the registry, a run or a folder, and where it comes from."""

    detector: SeizureDetector
    provenance: Provenance

    @property
    def name(self) -> str:
        """Name and version, or the address of one that is not registered."""
        return self.provenance.name

    @property
    def run_id(self) -> str:
        """Run that trained it; empty where that is not recorded."""
        return self.provenance.run_id

    def seen(self, dataset: str, recordings: pd.DataFrame) -> Bools | None:
        """Whether it was trained on the subject of each recording; None where that cannot be known.

        It was where it was trained on a subject of that name in the same corpus, or, in whatever corpus, on the very
        same beats.

        Parameters
        ----------
        dataset
            Name of the corpus of the recordings.
        recordings
            A row each, with ``subject`` and ``rr_digest``.
        """
        if not self.run_id or not runs.has_artifact(self.run_id, "split.json"):
            return None
        known = mlflow.artifacts.load_dict(f"runs:/{self.run_id}/split.json")
        if "train_beats" not in known:
            return None
        seen = recordings["rr_digest"].isin(known["train_beats"])
        if known["dataset"] == [dataset]:
            seen |= recordings["subject"].isin(known["train"])
        return recordings["subject"].isin(set(recordings["subject"][seen])).to_numpy(dtype=np.bool_)


def load(uri: str, *, runtime: str | None = None) -> Registered:
    """Load a detector by its address, such as ``models:/aura-seizure-detector-ours@champion`` or ``runs:/.../model``.

    A folder that holds one is an address too, and needs no tracking server. What it says about its version, its run and
    its origin stays its own claim. ``runtime`` as in `aura.detection.detector.load_detector`.

    Nothing in the model is imported or run, so it may come from a stranger; see `aura.detection.detector_file`.

    Raises
    ------
    AuraError
        Where there is none, or one that cannot be used.
    """
    local = Path(local_file_uri_to_path(uri))
    try:
        # Of a folder, MLflow would ask the server for the model that was logged from it.
        folder = local if local.is_dir() else Path(mlflow.artifacts.download_artifacts(uri))
    except (MlflowException, OSError) as error:
        raise _not_found(uri, error) from error
    found = next(iter(sorted(folder.glob("data/*/detector.json"))), None)
    if found is None:
        raise AuraError(f"model={uri} is no seizure detector of Aura")
    try:
        logged = ModelFolder.read(folder)
        detector = load_detector(found.parent, runtime=runtime)
    except AuraError as error:
        raise AuraError(f"model={uri} cannot be used: {error}") from error
    is_confirmed = not local.is_dir() and uri.startswith(("models:/", "runs:/"))
    try:
        model, version, run_id = _identity(uri, logged) if is_confirmed else (_claim(logged), "", "")
        origin = detector.origin
        if not origin.corpus:
            origin = _origin_of_before(logged, model, version, run_id)
    except MlflowException as error:
        raise _not_found(uri, error) from error
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


def _not_found(uri: str, error: Exception) -> AuraError:
    """Return the error for a model that MLflow did not give."""
    if isinstance(error, MlflowException) and runs.is_outage(error):
        return OutageError(f"MLflow at {runs.place()} does not answer")
    return AuraError(
        f"model={uri} is no model of {runs.place()}: {_line(error)}; train makes one, or give a folder that holds one"
    )


def _identity(uri: str, logged: ModelFolder) -> tuple[str, str, str]:
    """Name, version and run of a model of the tracking server; the address and no version for one without a version.

    MLflow names the version in a folder that it downloads by such an address. In a run's own folder the same file is
    whatever was logged there.
    """
    if not logged.version or not uri.startswith((f"models:/{logged.model}/", f"models:/{logged.model}@")):
        return uri, "", logged.run_id
    run_id = mlflow.MlflowClient().get_model_version(logged.model, logged.version).run_id
    return logged.model, logged.version, run_id or ""


def _claim(logged: ModelFolder) -> str:
    """Name of a model in a folder, which can say of itself what it likes."""
    claimed = f", which says it is {logged.model} version {logged.version}" if logged.model and logged.version else ""
    return f"a folder{claimed}"


def _origin_of_before(logged: ModelFolder, model: str, version: str, run_id: str) -> Origin:
    """Origin of a version registered before detectors kept their own: what its run and its model card say."""
    corpus, synthetic = "", None
    if run_id and runs.exists(run_id):
        corpus = mlflow.get_run(run_id).data.params.get("dataset.name", "")
    if version:
        card = mlflow.MlflowClient().get_model_version(model, version).description or ""
        synthetic = SYNTHETIC_CARD in card if card else None
    return Origin(corpus=corpus, synthetic=synthetic, date=logged.date)


def default_address(config: Config) -> str:
    """Address of the detector that is used where none is named.

    That is the champion of the corpus that the command line names; else the only champion there is; else the only one
    that was trained on recordings of people. Baselines, and models of another task, do not count, nor does a candidate
    that the command line does not name.

    Raises
    ------
    AuraError
        Where there is none, or several.
    """
    own = config.tracking.model_name
    champions = {one.name: one for one in _champions() if _finds(one) == LABELLINGS.resolve("labels", config.labels)[0]}
    named = any(word.split("=")[0].lstrip("+") in NAMING for word in config.overrides)
    used = [name for name in champions if not name.endswith(CANDIDATE)]
    real = [name for name in used if champions[name].tags.get(TAG_SYNTHETIC) == "false"]
    for choice in ([own] if named and own in champions else [], used, real):
        if len(choice) == 1:
            return f"models:/{choice[0]}@{CHAMPION}"
    if not used:
        raise AuraError(
            f"no detector is registered at {runs.place()}; train makes one, or write model= with its address"
        )
    raise AuraError(
        f"several detectors are registered, and none of them for this corpus: {', '.join(sorted(used))}; write "
        f"model=models:/NAME@{CHAMPION}"
    )


def _champions() -> list[ModelVersion]:
    """The champions that Aura registered, but for baselines."""
    client = mlflow.MlflowClient()
    try:
        found = [
            client.get_model_version(model.name, model.aliases[CHAMPION])
            for model in client.search_registered_models(max_results=MOST_MODELS)
            if CHAMPION in model.aliases
        ]
    except MlflowException as error:
        raise OutageError(f"the registry at {runs.place()} does not answer: {_line(error)}") from error
    # Versions registered before have no tag for baselines, but names of their own.
    return [
        one
        for one in found
        if TAG_PROMOTION in one.tags and not one.tags.get(TAG_BASELINE) and not one.name.startswith("aura-baseline")
    ]


def _finds(version: ModelVersion) -> str:
    """Short name of what a version finds; versions registered before tell it by their names alone."""
    return str(version.tags.get(TAG_LABELS) or ("forecasting" if "forecaster" in version.name else "detection"))


def _line(error: Exception) -> str:
    return without_credentials(" ".join(str(error).split()))
