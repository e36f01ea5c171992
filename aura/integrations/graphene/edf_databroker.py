"""The first node: which recordings there are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.integrations.graphene.messages import EndOfDataError, below, look


class Databroker:
    """Gives the recordings of a corpus, some at a time.

    Parameters
    ----------
    config
        Which corpus.
    shared
        Folder that the nodes share; what is above it is never told.
    batch
        Recordings at a time.
    """

    def __init__(self, config: Config, shared: Path, *, batch: int) -> None:
        self._config, self._shared, self._batch = config, shared, batch
        self._batches: Iterator[dict[str, Any]] | None = None

    def __call__(self, request: Any, reply: Any) -> None:
        """Give the next recordings; the first call looks for them.

        Raises
        ------
        EndOfDataError
            After the last one. The next call looks again.
        """
        if self._batches is None:
            self._batches = self._look()
        batch = next(self._batches, None)
        if batch is None:
            self._batches = None
            raise EndOfDataError
        for edf in batch.pop("edfs"):
            reply.recordings.add(**edf)
        for name, value in batch.items():
            setattr(reply, name, value)

    def _look(self) -> Iterator[dict[str, Any]]:
        folder = below(self._config.dataset.root, self._shared)
        found, names = look(self._config)
        edfs = [{"recording": names.ref(ref).recording, "path": names.path(ref.edf)} for ref in found.refs]
        if not edfs:
            raise AuraError(f"the folder {folder} holds no recordings")
        told = {"dataset": self._config.dataset.name, "folder": folder, "listing": digest(edfs, self._batch)}
        batches = [edfs[first : first + self._batch] for first in range(0, len(edfs), self._batch)]
        return iter(
            [
                {**told, "number": number, "count": len(batches), "edfs": batch}
                for number, batch in enumerate(batches, start=1)
            ]
        )
