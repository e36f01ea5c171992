"""The registry: who is the champion, and what registered versions are made of."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from aura.config.schema import Config
from aura.core.arrays import Bools, Floats
from aura.core.errors import AuraError, OutageError, without_credentials
from aura.core.provenance import ModelFolder, Origin, Provenance
from aura.detection.components import LABELLINGS
from aura.detection.detector import SeizureDetector, load_detector
from aura.evaluation import bootstrap
from aura.evaluation.results import Evaluation
from aura.evaluation.scoring import FALSE_ALARM_RATE, ratio
from aura.learning.labels import task
from aura.reports.model_card import SYNTHETIC as SYNTHETIC_CARD
from aura.tracking import runs

CHAMPION, CHALLENGER = "champion", "challenger"
# Fewer subjects say nothing of others, however they are drawn.
MIN_SUBJECTS = 5
# Tags of a version, by which it is chosen where none is named.
TAG_PROMOTION, TAG_SYNTHETIC, TAG_LABELS, TAG_BASELINE = (
    f"aura.{name}" for name in ("promotion", "synthetic_training", "labels", "baseline")
)
# End of the name of a model that is tried beside the one that is used; the Airflow DAG registers such models.
CANDIDATE = "-candidate"
# Words of a command line that name a corpus or its model.
NAMING = ("dataset", "dataset.name", "tracking.model_name")
MOST_MODELS = 1000
RATES = ("false_alarms_per_24h", FALSE_ALARM_RATE)
# Tag of a version that does not have its alias yet: which one it is to get.
PENDING = "aura.pending_alias"
COUNTS = ("ref_events", "found", "false_alarms", "hours", "assessed_hours")


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


def register(
    config: Config,
    model_id: str,
    card: str,
    origin: Origin,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> str:
    """Register the model of the active run as a new version, and give it the alias it deserves.

    The version is made with its card and all tags in one request, so that it is complete whenever it can be seen; then
    it gets its alias. Versions of runs that ended between the two are settled first.

    It becomes the champion when there is none, or when its event F1 is better in most draws of the test subjects that
    the champion has not seen either, and it raises no more false alarms than are allowed.

    Parameters
    ----------
    config
        Whose model it is, how sure one has to be, and how many false alarms are allowed.
    model_id
        Of the logged model.
    card
        Its description, for the registry.
    origin
        What it was trained on.
    evaluation
        Of it, on subjects it was not trained on.
    tested
        The recordings of these.
    again
        Scores another detector on the same recordings, where it was scored on others.

    Returns
    -------
    str
        A sentence: which alias, and why.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    _create_model(name)
    _settle(name)
    while True:
        champion = client.get_registered_model(name).aliases.get(CHAMPION)
        alias, why, numbers = _decide(config, champion, evaluation, tested, again)
        # Unless another run has moved it meanwhile.
        if client.get_registered_model(name).aliases.get(CHAMPION) == champion:
            break
    tags = {f"aura.{key}": str(value) for key, value in numbers.items()} | {
        TAG_PROMOTION: f"{alias}: {why}",
        TAG_SYNTHETIC: str(origin.synthetic).lower(),
        TAG_LABELS: LABELLINGS.resolve("labels", config.labels)[0],
        TAG_BASELINE: config.baseline or "",
        "aura.training_corpus": origin.corpus,
    }
    version = str(
        client.create_model_version(
            name,
            f"models:/{model_id}",
            runs.active_id(),
            tags={**tags, PENDING: alias},
            description=card,
            model_id=model_id,
        ).version
    )
    client.set_registered_model_alias(name, alias, version)
    client.delete_model_version_tag(name, version, PENDING)
    # By this MLflow's page of the logged model leads to the version.
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps([{"name": name, "version": version}])})
    mlflow.set_tag("aura.promotion", f"version {version}, {alias}: {why}")
    return f"{name} version {version} is the {alias}: {why}"


def _create_model(name: str) -> None:
    """Make sure that the registry has a model of this name, which may have no version yet."""
    try:
        mlflow.MlflowClient().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _settle(name: str) -> None:
    """Complete or withdraw versions whose run ended while they were waiting for their alias.

    One that has its alias only lacks the end of its registration. Another one is withdrawn, since the champion that it
    was compared with may have changed; its model stays in its run.
    """
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    for one in client.search_model_versions(f"name = '{name}' and tags.`{PENDING}` != ''"):
        if runs.exists(one.run_id) and client.get_run(one.run_id).info.status == "RUNNING":
            continue
        if str(aliases.get(one.tags[PENDING])) == str(one.version):
            client.delete_model_version_tag(name, one.version, PENDING)
            continue
        client.delete_model_version(name, one.version)
        print(
            f"{name} version {one.version} is withdrawn: its run {one.run_id} was killed before the version became the "
            f"{one.tags[PENDING]}; the model stays at models:/{one.model_id}"
        )


def _decide(
    config: Config,
    champion: str | None,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> tuple[str, str, dict[str, Any]]:
    """Alias of a new version beside the version that is the champion, why, and the numbers."""
    ours = _by_subject(evaluation.per_subject())
    total = ours.to_numpy().sum(axis=0)[None]
    numbers: dict[str, Any] = {name: float(ratio(total, name)[0]) for name in ("f1", *RATES)}
    allowed = config.scoring.max_false_alarms_per_24h
    if champion is None:
        rate = numbers[FALSE_ALARM_RATE]
        why = f"there was none; it raises {rate:.1f} false alarms per 24 h of assessed time, {allowed:g} are allowed"
        return CHAMPION, why, numbers
    theirs, where = _of_champion(config, champion, evaluation, tested, again)
    if theirs is None:
        return CHALLENGER, f"{where} (version {champion})", numbers
    rate = numbers[FALSE_ALARM_RATE]
    alias, why, compared = _compare(config, ours.loc[theirs.index].to_numpy(), theirs.to_numpy(), rate)
    return alias, f"{why} (version {champion}{where})", numbers | compared


def _compare(config: Config, ours: Floats, theirs: Floats, rate: float) -> tuple[str, str, dict[str, float]]:
    """Alias of the new version, why, and the numbers.

    Of (n_subjects, 5) counts of the same subjects, and the false alarms per 24 h of assessed time of the new version on
    all it was tested on, which may be more.
    """
    f1, their_f1 = (float(ratio(counts.sum(axis=0)[None], "f1")[0]) for counts in (ours, theirs))
    their_rate = float(ratio(theirs.sum(axis=0)[None], FALSE_ALARM_RATE)[0])
    difference = np.subtract(
        *(bootstrap.scores_of_draws(c, partial(ratio, name="f1"), seed=config.seed) for c in (ours, theirs))
    )
    known = difference[~np.isnan(difference)]
    share_better = float((known > 0).mean()) if len(known) else 0.0
    low, high = bootstrap.interval(difference)
    allowed = config.scoring.max_false_alarms_per_24h
    sure, quiet = f1 > their_f1 and share_better >= config.tracking.champion_confidence, rate <= allowed
    why = (
        f"event F1 {f1:.3f} against {their_f1:.3f}, better in {share_better:.0%} of the draws of {len(ours)} subjects "
        f"({config.tracking.champion_confidence:.0%} are needed; difference {low:+.3f} to {high:+.3f}), "
        f"with {rate:.1f} false alarms per 24 h of assessed time against {their_rate:.1f} ({allowed:g} are allowed)"
    )
    numbers = {
        "champion_f1": their_f1,
        f"champion_{FALSE_ALARM_RATE}": their_rate,
        "f1_difference_low": low,
        "f1_difference_high": high,
        "share_better": share_better,
    }
    return CHAMPION if sure and quiet else CHALLENGER, why, numbers


def _of_champion(
    config: Config,
    champion: str,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> tuple[pd.DataFrame | None, str]:
    """Counts of the champion on those subjects of the new version that it has not seen, and what to say of them.

    None where the two cannot be compared, and why.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    run_ids = [runs.active_id(), client.get_model_version(name, champion).run_id]
    known = [run_id for run_id in run_ids if run_id and runs.exists(run_id)]
    digests = [client.get_run(run_id).data.params.get("test.digest") for run_id in known]
    unseen, theirs = evaluation.subjects, None
    logged = None
    if len(digests) == 2 and digests[0] is not None and digests[0] == digests[1]:
        # Read as it is: MLflow's own reader takes a subject called 00000005 for the number 5.
        logged = mlflow.artifacts.load_dict(f"runs:/{run_ids[1]}/per_subject.json")
    # Earlier versions did not log their assessed time.
    if logged is None or "assessed_hours" not in logged["columns"]:
        try:
            theirs = load(f"models:/{name}/{champion}")
        except OutageError:
            raise
        except AuraError as error:
            return None, f"the champion cannot be loaded: {error}"
        if theirs.detector.labels and task(theirs.detector.labels) != task(config.labels):
            return None, "the champion is to find something else; give tracking.model_name another name"
        seen = theirs.seen(config.dataset.name, tested)
        if seen is None:
            return None, "nobody knows whom the champion was trained on"
        unseen = sorted(set(tested["subject"][~seen]))
    if len(unseen) < MIN_SUBJECTS:
        return (
            None,
            f"{len(unseen)} test subjects that the champion has not seen are too few, {MIN_SUBJECTS} are needed",
        )
    if theirs is not None:
        where = f", scored anew on {len(unseen)} of {len(evaluation.subjects)} test subjects, which it has not seen"
        return _by_subject(again(theirs).per_subject()).loc[unseen], where
    assert logged is not None
    return _by_subject(pd.DataFrame(logged["data"], columns=logged["columns"])).loc[unseen], ""


def _by_subject(table: pd.DataFrame) -> pd.DataFrame:
    """Reference events, events found, false alarms, seconds and assessed seconds of each subject, by name."""
    return table.set_index("subject")[list(COUNTS)].astype("float64") * [1, 1, 1, 3600, 3600]


def _line(error: Exception) -> str:
    return without_credentials(" ".join(str(error).split()))
