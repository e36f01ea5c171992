"""What the nodes share: names of folders in messages, and checks of messages.

Messages carry names and small facts; the recordings, the features and the model are in the folder that the nodes share.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.corpora.discovery import Corpus, find_recordings
from aura.corpora.names import Names, key_from_environment

# Reads a request and fills in the reply; protobuf makes their classes from the model.proto of the node.
Work = Callable[[Any, Any], None]


class EndOfDataError(Exception):
    """The databroker has sent all recordings; the next call starts again."""


class RequestError(AuraError):
    """A message that no node of this pipeline sends, or one made with other settings."""


def find_corpus(config: Config) -> tuple[Corpus, Names]:
    """Find the recordings, and their names in messages and files."""
    root = Path(config.dataset.root)
    if not root.is_dir():
        raise AuraError(f"the shared folder has no folder {root.name!r}; put the recordings there")
    names = Names(root, key_from_environment() if config.dataset.pseudonyms else None)
    return find_recordings(root, config.dataset.layouts, config.dataset.name), names


def relative_path(folder: Path | str, shared: Path) -> str:
    """Return the path of a folder from the folder that the nodes share, as in messages."""
    try:
        return Path(folder).relative_to(shared).as_posix()
    except ValueError as error:
        raise AuraError(f"the folder {Path(folder).name!r} is not below SHARED_FOLDER_PATH, as it has to be") from error


def check_place(request: Any) -> None:
    """Raise unless 1 <= number <= count and the listing is given."""
    if not 1 <= request.number <= request.count:
        raise RequestError(f"batch {request.number} of {request.count}; allowed are 1 to the count, which is 1 or more")
    if not request.listing:
        raise RequestError("listing is empty; the databroker gives one to all batches of a corpus")


def check_same(name: str, theirs: str, ours: str) -> None:
    """Raise for a message that was made with other settings than those of this node."""
    if theirs != ours:
        raise RequestError(f"{name} is {theirs!r}, but with the settings of this node {ours!r}; give all the same")
