"""The registry: who is the champion, and what registered versions are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from aura import bootstrap, tracking
from aura.config import Config
from aura.errors import AuraError, OutageError
from aura.evaluation import Evaluation, ratio
from aura.labels import task
from aura.serving import Detector, load_detector
from aura.types import Bools, Floats

CHAMPION, CHALLENGER = "champion", "challenger"
# Fewer subjects say nothing of others, however they are drawn.
MIN_SUBJECTS = 5
COUNTS = ("ref_events", "found", "false_alarms", "hours")


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A detector from the registry or a run, and the run that made it."""

    detector: Detector
    name: str
    run_id: str

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
        if not self.run_id or not tracking.has_artifact(self.run_id, "split.json"):
            return None
        known = mlflow.artifacts.load_dict(f"runs:/{self.run_id}/split.json")
        if "train_beats" not in known:
            return None
        seen = recordings["rr_digest"].isin(known["train_beats"])
        if known["dataset"] == [dataset]:
            seen |= recordings["subject"].isin(known["train"])
        return recordings["subject"].isin(set(recordings["subject"][seen])).to_numpy(dtype=np.bool_)


def load(uri: str, *, runtime: str | None = None) -> Registered:
    """Load a detector by its address, such as ``models:/aura-seizure-detector@champion`` or ``runs:/.../model``.

    A folder that holds one is an address too, and needs no tracking server. ``runtime`` as in
    `aura.serving.load_detector`.

    Raises
    ------
    AuraError
        Where there is none.
    """
    try:
        # Of a folder, MLflow would ask the server for the model that was logged from it.
        folder = Path(uri) if Path(uri).is_dir() else Path(mlflow.artifacts.download_artifacts(uri))
        run_id = mlflow.models.Model.load(str(folder)).run_id
    except (MlflowException, OSError) as error:
        if isinstance(error, MlflowException) and tracking.is_outage(error):
            raise OutageError(f"MLflow at {mlflow.get_tracking_uri()} does not answer") from error
        raise AuraError(
            f"model={uri} is no model of {mlflow.get_tracking_uri()}: {_line(error)}; train makes one, or give a "
            "folder that holds one"
        ) from error
    found = next(iter(folder.glob("data/*/detector.json")), None)
    if found is None:
        raise AuraError(f"model={uri} is no seizure detector of Aura")
    return Registered(load_detector(found.parent, runtime=runtime), uri, run_id or "")


def promote(
    config: Config,
    version: str,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> str:
    """Give a new version of the model the alias it deserves.

    It becomes the champion when there is none, or when its event F1 is better in most draws of the test subjects that
    the champion has not seen either, and it raises no more false alarms than are allowed.

    Parameters
    ----------
    config
        Whose model it is, how sure one has to be, and how many false alarms are allowed.
    version
        Of the model.
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
    while True:
        champion = client.get_registered_model(name).aliases.get(CHAMPION)
        alias, why, numbers = _decide(config, version, champion, evaluation, tested, again)
        # Unless another run has moved it meanwhile.
        if client.get_registered_model(name).aliases.get(CHAMPION) == champion:
            break
    client.set_registered_model_alias(name, alias, version)
    for key, value in {"promotion": f"{alias}: {why}", **numbers}.items():
        client.set_model_version_tag(name, version, f"aura.{key}", str(value))
    mlflow.set_tag("aura.promotion", f"version {version}, {alias}: {why}")
    return f"{name} version {version} is the {alias}: {why}"


def describe(name: str, version: str, card: str) -> None:
    """Write the model card where the registry shows it."""
    mlflow.MlflowClient().update_model_version(name, version, description=card)


def _decide(
    config: Config,
    version: str,
    champion: str | None,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> tuple[str, str, dict[str, Any]]:
    """Alias of a new version beside the version that is the champion, why, and the numbers."""
    ours = _by_subject(evaluation.per_subject())
    total = ours.to_numpy().sum(axis=0)[None]
    numbers: dict[str, Any] = {name: float(ratio(total, name)[0]) for name in ("f1", "false_alarms_per_24h")}
    allowed = config.scoring.max_false_alarms_per_24h
    if champion is None:
        rate = numbers["false_alarms_per_24h"]
        return CHAMPION, f"there was none; it raises {rate:.1f} false alarms per 24 h, {allowed:g} are allowed", numbers
    theirs, where = _of_champion(config, version, champion, evaluation, tested, again)
    if theirs is None:
        return CHALLENGER, f"{where} (version {champion})", numbers
    rate = numbers["false_alarms_per_24h"]
    alias, why, compared = _compare(config, ours.loc[theirs.index].to_numpy(), theirs.to_numpy(), rate)
    return alias, f"{why} (version {champion}{where})", numbers | compared


def _compare(config: Config, ours: Floats, theirs: Floats, rate: float) -> tuple[str, str, dict[str, float]]:
    """Alias of the new version, why, and the numbers.

    Of (n_subjects, 4) counts of the same subjects, and the false alarms per 24 h of the new version on all it was
    tested on, which may be more.
    """
    f1, their_f1 = (float(ratio(counts.sum(axis=0)[None], "f1")[0]) for counts in (ours, theirs))
    their_rate = float(ratio(theirs.sum(axis=0)[None], "false_alarms_per_24h")[0])
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
        f"with {rate:.1f} false alarms per 24 h against {their_rate:.1f} ({allowed:g} are allowed)"
    )
    numbers = {
        "champion_f1": their_f1,
        "champion_false_alarms_per_24h": their_rate,
        "f1_difference_low": low,
        "f1_difference_high": high,
        "share_better": share_better,
    }
    return CHAMPION if sure and quiet else CHALLENGER, why, numbers


def _of_champion(
    config: Config,
    version: str,
    champion: str,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> tuple[pd.DataFrame | None, str]:
    """Counts of the champion on those subjects of the new version that it has not seen, and what to say of them.

    None where the two cannot be compared, and why.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    run_ids = [client.get_model_version(name, one).run_id for one in (version, champion)]
    known = [run_id for run_id in run_ids if run_id and tracking.exists(run_id)]
    digests = [client.get_run(run_id).data.params.get("test.digest") for run_id in known]
    unseen, theirs = evaluation.subjects, None
    if len(digests) < 2 or digests[0] is None or digests[0] != digests[1]:
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
    # Read as it is: MLflow's own reader takes a subject called 00000005 for the number 5.
    logged = mlflow.artifacts.load_dict(f"runs:/{run_ids[1]}/per_subject.json")
    return _by_subject(pd.DataFrame(logged["data"], columns=logged["columns"])).loc[unseen], ""


def _by_subject(table: pd.DataFrame) -> pd.DataFrame:
    """Reference events, events found, false alarms and seconds of each subject, by name."""
    return table.set_index("subject")[list(COUNTS)].astype("float64") * [1, 1, 1, 3600]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
