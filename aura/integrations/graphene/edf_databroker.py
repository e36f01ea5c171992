"""The first node of the pipeline: list the recordings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.integrations.graphene.messages import EndOfDataError, find_corpus, relative_path


class Databroker:
    """Sends the recordings of a corpus in batches.

    Parameters
    ----------
    config
        The corpus.
    shared
        Folder shared by all nodes; messages do not contain its path.
    batch
        Recordings per batch.
    """

    def __init__(self, config: Config, shared: Path, *, batch: int) -> None:
        self._config, self._shared, self._batch = config, shared, batch
        self._batches: Iterator[dict[str, Any]] | None = None

    def __call__(self, request: Any, reply: Any) -> None:
        """Send the next batch; the first call finds the recordings.

        Raises
        ------
        EndOfDataError
            After the last batch; the next call starts again.
        """
        if self._batches is None:
            self._batches = self._list_batches()
        batch = next(self._batches, None)
        if batch is None:
            self._batches = None
            raise EndOfDataError
        for edf in batch.pop("edfs"):
            reply.recordings.add(**edf)
        for name, value in batch.items():
            setattr(reply, name, value)

    def _list_batches(self) -> Iterator[dict[str, Any]]:
        """Find the recordings and divide them into batches."""
        folder = relative_path(self._config.dataset.root, self._shared)
        corpus, names = find_corpus(self._config)
        edfs = [{"recording": names.ref(ref).recording, "path": names.path(ref.edf)} for ref in corpus.refs]
        if not edfs:
            raise AuraError(f"the folder {folder} holds no recordings")
        common = {"dataset": self._config.dataset.name, "folder": folder, "listing": digest(edfs, self._batch)}
        batches = [edfs[first : first + self._batch] for first in range(0, len(edfs), self._batch)]
        return iter(
            [
                {**common, "number": number, "count": len(batches), "edfs": batch}
                for number, batch in enumerate(batches, start=1)
            ]
        )
