"""Runs that are open: each holds a lock file, which the system releases when its process ends, however it ends.

What a process leaves behind that was killed is told apart from what is at work by that, and not by process numbers,
which are used again and mean nothing outside a container.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

SUFFIX = ".run"


def runs_folder(workspace: Path) -> Path:
    """Return the folder of the lock files of this machine: another one may share the workspace, but not its locks."""
    return workspace / ".runs" / socket.gethostname()


@contextmanager
def held(folder: Path, run_id: str) -> Iterator[None]:
    """Hold the lock file of a run; it stays behind where the block raises, for `settle_dead` to look at.

    In a workspace that cannot be written there is none.
    """
    lock, path = FileLock(folder / f"{run_id}.new"), folder / f"{run_id}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        # Under its name it is locked already when somebody else sees it first.
        (folder / f"{run_id}.new").replace(path)
    except OSError:
        yield
        return
    with lock:
        yield
        path.unlink(missing_ok=True)


def settle_dead(folder: Path, settle: Callable[[str], bool]) -> None:
    """Call a function with each run whose process is gone, and forget those for which it returns True."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with FileLock(path, timeout=0):
                if settle(path.stem):
                    path.unlink(missing_ok=True)
        except Timeout:
            continue
