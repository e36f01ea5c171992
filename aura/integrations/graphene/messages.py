"""Folders in messages between nodes, and checks of these messages.

Messages contain only names and counts; recordings, features and the model are in the folder shared by all nodes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.corpora.discovery import Corpus, find_recordings
from aura.corpora.names import Names, key_from_environment

# Function of a request and the reply that it fills in; protobuf makes their classes from the model.proto of the node.
Work = Callable[[Any, Any], None]


class EndOfDataError(Exception):
    """The databroker has sent all recordings; the next call starts again."""


class RequestError(AuraError):
    """A message that no node of this pipeline sends, or that was made with other settings."""


def find_corpus(config: Config) -> tuple[Corpus, Names]:
    """Find the recordings, and their names in messages and files."""
    root = Path(config.dataset.root)
    if not root.is_dir():
        raise AuraError(f"the shared folder has no folder {root.name!r}; create it, and copy the recordings into it")
    names = Names(root, key_from_environment() if config.dataset.pseudonyms else None)
    return find_recordings(root, config.dataset.layouts, config.dataset.name), names


def relative_path(folder: Path | str, shared: Path) -> str:
    """Return the path of a folder relative to the shared folder, as messages contain it."""
    try:
        return Path(folder).relative_to(shared).as_posix()
    except ValueError as error:
        raise AuraError(
            f"the folder {Path(folder).name!r} is not in SHARED_FOLDER_PATH; choose a folder below it"
        ) from error


def check_place(request: Any) -> None:
    """Raise unless 1 <= number <= count and the listing is given."""
    if not 1 <= request.number <= request.count:
        raise RequestError(f"number={request.number} is out of range; allowed is 1 to count, which is {request.count}")
    if not request.listing:
        raise RequestError("listing is empty; allowed is the digest that the databroker sends with each batch")


def check_same(name: str, theirs: str, ours: str) -> None:
    """Raise for a message that was made with settings other than those of this node."""
    if theirs != ours:
        raise RequestError(f"{name} is {theirs!r}, but this node has {ours!r}; start all nodes with the same settings")
