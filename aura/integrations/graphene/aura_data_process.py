"""The second node: from ECG to features."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from aura.config.schema import Config
from aura.core.recordings import RecordingRef
from aura.corpora.discovery import Corpus
from aura.corpora.names import Names
from aura.execution.run_all import run_all
from aura.integrations.graphene.messages import RequestError, below, check_place, check_same, look
from aura.processing.bookkeeping import PrepareRecording, prepare_all
from aura.processing.featurization import Featurization, lost
from aura.stages.prepare import preparation
from aura.workspace.folders import features_folder, prepared_folder


class DataProcess:
    """Takes recordings from ECG to features, as the stages prepare and featurize do.

    Parameters
    ----------
    config
        Which corpus, and what is computed how.
    shared
        Folder that the nodes share.
    """

    def __init__(self, config: Config, shared: Path) -> None:
        self._config, self._shared = config, shared
        self._listing = ""

    def __call__(self, request: Any, reply: Any) -> None:
        """Prepare and featurise the recordings of a batch that are not; one that cannot be is a failure with a reason.

        Raises
        ------
        RequestError
            For what is no batch of this corpus.
        """
        config = self._config
        check_place(request)
        check_same("dataset", request.dataset, config.dataset.name)
        check_same("folder", request.folder, below(config.dataset.root, self._shared))
        if request.listing != self._listing:
            self._found, self._names = look(config)
            self._listing = request.listing
        names = self._names
        chosen = replace(self._found, refs=tuple(_chosen(request, self._found, names)), rejects=())
        prepared, folder, compute = prepared_folder(config), features_folder(config), instantiate(config.compute)
        outcomes = prepare_all(chosen, PrepareRecording(preparation(config), names, prepared), compute)
        done = [one.row for one in outcomes if not one.failed]
        work = Featurization(config.feature_spec, prepared, folder)
        recordings = [row["recording"] for row in done]
        results = run_all(recordings, work, compute=compute, title="featurize", on_death=lost)

        for name in ("dataset", "listing", "number", "count"):
            setattr(reply, name, getattr(request, name))
        reply.folder = below(folder, self._shared)
        failed = [one.row for one in outcomes if one.failed]
        for row, (windows, _) in zip(done, results, strict=True):
            if windows is None:
                message = f"{row['edf']}: killed the process that worked on it, twice"
                failed.append({**row, "path": row["edf"], "reason": "worker_died", "message": message})
            else:
                n_windows = windows["n_windows"]
                reply.recordings.add(recording=row["recording"], windows=n_windows, duration_s=row["duration_s"])
        for row in failed:
            said = {"recording": row["recording"], "path": row["path"], "reason": row["reason"], "text": row["message"]}
            reply.failures.add(**said)


def _chosen(request: Any, found: Corpus, names: Names) -> Iterator[RecordingRef]:
    """Recordings of a batch: nothing is opened that was not found in the corpus."""
    refs = {(names.ref(ref).recording, names.path(ref.edf)): ref for ref in found.refs}
    asked = [(edf.recording, edf.path) for edf in request.recordings]
    if not asked or len(set(asked)) < len(asked):
        raise RequestError("recordings are missing, or one is there twice")
    for key in asked:
        if key not in refs:
            raise RequestError(f"the corpus has no recording {key[0]!r} at {key[1]!r}")
        yield refs[key]
