"""The second node of the pipeline: compute features of recordings."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from aura.assembly import build_preparation, feature_writer, prepared_writer
from aura.config.schema import Config
from aura.core.recordings import RecordingRef
from aura.corpora.discovery import Corpus
from aura.corpora.names import Names
from aura.execution.run_all import run_all
from aura.integrations.graphene.messages import RequestError, check_place, check_same, find_corpus, relative_path
from aura.processing.bookkeeping import PrepareRecording, find_unchanged, prepare_all
from aura.processing.featurization import Featurization, report_death


class DataProcess:
    """Computes features of recordings, as the stages prepare and featurize do.

    Parameters
    ----------
    config
        The corpus and the settings.
    shared
        Folder shared by all nodes.
    """

    def __init__(self, config: Config, shared: Path) -> None:
        self._config, self._shared = config, shared
        self._listing = ""

    def __call__(self, request: Any, reply: Any) -> None:
        """Prepare and featurize the recordings of a batch; failures are listed with a reason.

        Raises
        ------
        RequestError
            If the message is not a batch of this corpus.
        """
        config = self._config
        check_place(request)
        check_same("dataset", request.dataset, config.dataset.name)
        check_same("folder", request.folder, relative_path(config.dataset.root, self._shared))
        if request.listing != self._listing:
            self._corpus, self._names = find_corpus(config)
            self._listing = request.listing
        names = self._names
        batch = replace(self._corpus, refs=tuple(_select(request, self._corpus, names)), rejects=())
        prepared, features, compute = prepared_writer(config), feature_writer(config), instantiate(config.compute)
        prepare = PrepareRecording(build_preparation(config), names, prepared)
        outcomes = prepare_all(batch, prepare, find_unchanged(batch, prepare), compute)
        done = [outcome.row for outcome in outcomes if not outcome.failed]
        work = Featurization(config.feature_spec, prepared.folder, features)
        results = run_all(done, work, compute=compute, title="featurize", on_death=report_death)

        for name in ("dataset", "listing", "number", "count"):
            setattr(reply, name, getattr(request, name))
        reply.folder = relative_path(features.folder, self._shared)
        failed = [outcome.row for outcome in outcomes if outcome.failed]
        for row, (windows, _) in zip(done, results, strict=True):
            if windows is None:
                message = f"{row['edf']}: killed the process that worked on it, twice"
                failed.append({**row, "path": row["edf"], "reason": "worker_died", "message": message})
            else:
                n_windows = windows["n_windows"]
                reply.recordings.add(recording=row["recording"], windows=n_windows, duration_s=row["duration_s"])
        for row in failed:
            failure = {
                "recording": row["recording"],
                "path": row["path"],
                "reason": row["reason"],
                "text": row["message"],
            }
            reply.failures.add(**failure)


def _select(request: Any, corpus: Corpus, names: Names) -> Iterator[RecordingRef]:
    """Yield the recordings of a batch; raise for a file that is not in the corpus, so that it is not opened."""
    refs = {(names.ref(ref).recording, names.path(ref.edf)): ref for ref in corpus.refs}
    keys = [(edf.recording, edf.path) for edf in request.recordings]
    if not keys or len(set(keys)) < len(keys):
        raise RequestError("recordings is empty or holds a recording twice")
    for key in keys:
        if key not in refs:
            raise RequestError(f"the corpus has no recording {key[0]!r} at {key[1]!r}")
        yield refs[key]
