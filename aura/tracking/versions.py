"""Versions of a registered model and their aliases; what a kill interrupts, the next call completes or withdraws."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, sleep

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from aura.core.errors import AuraError
from aura.tracking import outages, runs
from aura.tracking.registry import CHALLENGER, CHAMPION, TAG_PROMOTION, load

# Alias of the champion before the champion.
PREVIOUS = "previous"
# Tag of a new version that waits for its alias: the alias, and after a colon the champion that it replaces.
PENDING = "aura.pending_alias"
# Tag of a version that a rollback makes the champion: the entry for its history, and the champion that it replaces.
ROLLBACK = "aura.pending_rollback"
# Tag of runs and versions: digest of all that decides the model and its promotion.
FINGERPRINT = "aura.fingerprint"
# Address of a logged model, without its id.
LOGGED = "models:/"
# A version waits so long for earlier versions, which are registered within a second unless their process is gone.
WAIT_S, POLL_S = 60.0, 0.2


@dataclass(frozen=True, slots=True)
class Draft:
    """A version to create, after a comparison with a champion.

    Parameters
    ----------
    alias
        ``champion`` or ``challenger``.
    champion
        Version of the champion that it was compared with; None if there was none.
    reason
        Why it gets the alias.
    description, tags
        Description and tags of the version.
    """

    alias: str
    champion: str | None
    reason: str
    description: str
    tags: Mapping[str, str]

    @property
    def pending(self) -> str:
        """Value of the tag `PENDING`."""
        is_replacing = self.alias == CHAMPION and self.champion is not None
        return f"{self.alias}:{self.champion}" if is_replacing else self.alias


def create_model(name: str, description: str, tags: Mapping[str, str]) -> None:
    """Create a registered model unless it exists; describe it unless it is described."""
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name, tags=dict(tags), description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, description)
            for key, value in tags.items():
                client.set_registered_model_tag(name, key, value)


def create(
    name: str, model_id: str, fingerprint: str | None, draft_for: Callable[[str | None], Draft]
) -> tuple[str, Draft | None]:
    """Create a version of the model of the active run, and set its alias.

    The version is created with its description and tags in one request, so it is complete as soon as it is visible. The
    registry numbers versions; of two processes, the one with the higher number waits until the other has set its alias.
    So each version is compared with the champion that it replaces.

    Parameters
    ----------
    name
        Name of the registered model.
    model_id
        Id of the logged model.
    fingerprint
        Fingerprint of the run; no version is created if one with this fingerprint exists. None always creates one.
    draft_for
        Compares the version with the champion of that number, and returns the draft.

    Returns
    -------
    version : str
        Number of the new version, or of the one that exists.
    draft : Draft or None
        The draft; None if the version existed.
    """
    client = mlflow.MlflowClient()
    draft = draft_for(_find_champion(name))
    created = client.create_model_version(
        name,
        f"{LOGGED}{model_id}",
        runs.active_id(),
        tags={**draft.tags, PENDING: draft.pending},
        description=draft.description,
        model_id=model_id,
    )
    version = _remove_repeats(name, str(created.version), model_id)
    _wait_for_earlier(name, version)
    if fingerprint is not None and (twin := find(name, fingerprint)) is not None:
        client.delete_model_version(name, version)
        return str(twin.version), None
    while draft.champion != (champion := _find_champion(name)):
        # Another process promoted a version after this one was compared.
        draft = draft_for(champion)
        client.update_model_version(name, version, draft.description)
        for key, value in {**draft.tags, PENDING: draft.pending}.items():
            client.set_model_version_tag(name, version, key, value)
    client.set_registered_model_alias(name, draft.alias, version)
    _end_registration(name, version, draft.pending)
    # By this tag, MLflow's page of the logged model links to the version.
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps([{"name": name, "version": version}])})
    return version, draft


def find(name: str, fingerprint: str) -> ModelVersion | None:
    """Find a version with a fingerprint whose model exists: the champion, or else the newest; None if there is none."""
    client = mlflow.MlflowClient()
    found = client.search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT}` = '{fingerprint}'")
    usable = [one for one in found if PENDING not in one.tags and one.status == "READY" and _has_model(one)]
    if not usable:
        return None
    champion = _find_champion(name)
    return max(usable, key=lambda one: (str(one.version) == champion, int(one.version)))


def has_logged_model(model_id: str) -> bool:
    """Return whether a logged model exists, is not deleted, and has its files."""
    client = mlflow.MlflowClient()
    try:
        client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return any(item.path == "MLmodel" for item in client.list_logged_model_artifacts(model_id))


def describe(version: ModelVersion) -> str:
    """Say which version it is, which aliases it has, and its address."""
    aliases = mlflow.MlflowClient().get_registered_model(version.name).aliases
    held = [alias for alias in (CHAMPION, CHALLENGER, PREVIOUS) if str(aliases.get(alias)) == str(version.version)]
    kinds = {CHAMPION: "the champion", CHALLENGER: "the challenger", PREVIOUS: "the previous champion"}
    kind = kinds[held[0]] if held else "neither champion nor challenger"
    return f"{version.name} version {version.version} is {kind}: models:/{version.name}/{version.version}"


def settle(name: str) -> None:
    """Complete or withdraw the versions whose run was killed before it set their alias; complete killed rollbacks.

    A version that has its alias only lacks the end of its registration. Any other version is withdrawn, since the
    champion that it was compared with may have changed; its model stays in its run.
    """
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    for version in _list_pending(name):
        if _is_at_work(version):
            continue
        alias = version.tags[PENDING].partition(":")[0]
        if str(aliases.get(alias)) == str(version.version):
            _end_registration(name, str(version.version), version.tags[PENDING])
            continue
        client.delete_model_version(name, version.version)
        print(
            f"{name} version {version.version} is withdrawn: its run {version.run_id} was killed before the version "
            f"became the {alias}; the model stays at {version.source}"
        )
    _complete_rollback(name)


def rollback(name: str) -> str:
    """Make the previous champion the champion again, and the champion the previous one.

    A rollback that was killed is completed instead.

    Returns
    -------
    str
        A sentence about what was done.

    Raises
    ------
    AuraError
        If there is no such model, it has no previous champion, or the previous champion cannot be used.
    """
    client = mlflow.MlflowClient()
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise AuraError(
            f"no model is registered as {name} at {outages.place()}; write model_name= with its name"
        ) from error
    completed = _complete_rollback(name)
    if completed is not None:
        return completed
    settle(name)
    aliases = client.get_registered_model(name).aliases
    champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    if previous is None or previous == champion:
        raise AuraError(f"there is nothing to roll back to: no version of {name} has the alias {PREVIOUS}")
    # A champion that cannot be loaded would stop detect and serving.
    load(f"models:/{name}/{previous}")
    former = f"version {champion}" if champion else "none"
    entry = f"{CHAMPION} {now()} after {former}: rollback"
    client.set_model_version_tag(name, previous, ROLLBACK, json.dumps({"entry": entry, "champion": champion}))
    client.set_registered_model_alias(name, CHAMPION, previous)
    return _end_rollback(client.get_model_version(name, previous))


def write_history(entry: str, earlier: str | None) -> str:
    """Return the value of the tag `TAG_PROMOTION` with a new entry before the earlier ones."""
    return "; ".join(part for part in (entry, earlier) if part)


def now() -> str:
    """Return the present minute in UTC, for tags and descriptions."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _find_champion(name: str) -> str | None:
    champion = mlflow.MlflowClient().get_registered_model(name).aliases.get(CHAMPION)
    return None if champion is None else str(champion)


def _has_model(version: ModelVersion) -> bool:
    """Return whether the model of a version exists; one that was registered from a folder is taken to exist."""
    # The attribute model_id is empty in a registry that is a database.
    model_id = version.source.removeprefix(LOGGED)
    return model_id == version.source or has_logged_model(model_id)


def _list_pending(name: str) -> list[ModelVersion]:
    return list(mlflow.MlflowClient().search_model_versions(f"name = '{name}' and tags.`{PENDING}` != ''"))


def _is_at_work(version: ModelVersion) -> bool:
    """Return whether the run that registers a version is running."""
    if not runs.exists(version.run_id):
        return False
    return bool(mlflow.MlflowClient().get_run(version.run_id).info.status == "RUNNING")


def _remove_repeats(name: str, version: str, model_id: str) -> str:
    """Remove versions that this registration created beside the first, and return the first.

    The client repeats a request whose answer was lost, for example since the server was restarted.
    """
    own = [int(one.version) for one in _list_pending(name) if one.source == f"{LOGGED}{model_id}"]
    first, *repeats = sorted({*own, int(version)})
    for repeat in repeats:
        mlflow.MlflowClient().delete_model_version(name, str(repeat))
    return str(first)


def _wait_for_earlier(name: str, version: str) -> None:
    """Wait until no version with a lower number waits for its alias."""
    deadline = monotonic() + WAIT_S
    while earlier := [one for one in _list_pending(name) if int(one.version) < int(version) and _is_at_work(one)]:
        if monotonic() > deadline:
            print(
                f"{name} version {earlier[0].version} has had no alias for {WAIT_S:.0f} s, although its run "
                f"{earlier[0].run_id} is running; version {version} does not wait for it any longer"
            )
            return
        sleep(POLL_S)


def _end_registration(name: str, version: str, pending: str) -> None:
    """Set the alias of the replaced champion, and let the version wait no longer."""
    client = mlflow.MlflowClient()
    replaced = pending.partition(":")[2]
    if replaced:
        _set_previous(name, replaced)
    client.delete_model_version_tag(name, version, PENDING)


def _set_previous(name: str, version: str) -> None:
    """Set the alias `PREVIOUS`; do nothing if the version was deleted meanwhile."""
    try:
        mlflow.MlflowClient().set_registered_model_alias(name, PREVIOUS, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _complete_rollback(name: str) -> str | None:
    """Complete a rollback that was killed after it moved the champion; forget one that was killed before.

    Returns
    -------
    str or None
        A sentence about what was done; None if nothing was completed.
    """
    client, completed = mlflow.MlflowClient(), None
    for version in client.search_model_versions(f"name = '{name}' and tags.`{ROLLBACK}` != ''"):
        if str(version.version) == _find_champion(name):
            completed = f"a rollback that was interrupted is completed: {_end_rollback(version)}"
        else:
            client.delete_model_version_tag(name, version.version, ROLLBACK)
    return completed


def _end_rollback(version: ModelVersion) -> str:
    """Do what follows after a version became the champion again; each step may have been done before."""
    client, name, number = mlflow.MlflowClient(), version.name, str(version.version)
    noted = json.loads(version.tags[ROLLBACK])
    replaced = noted["champion"]
    if replaced is None:
        client.delete_registered_model_alias(name, PREVIOUS)
    else:
        _set_previous(name, str(replaced))
    history = version.tags.get(TAG_PROMOTION)
    if not (history or "").startswith(noted["entry"]):
        client.set_model_version_tag(name, number, TAG_PROMOTION, write_history(noted["entry"], history))
    client.delete_model_version_tag(name, number, ROLLBACK)
    before = "there was no champion" if replaced is None else f"version {replaced} was the champion before"
    return f"{name} version {number} is the champion again; {before}"
