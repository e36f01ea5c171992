"""Open runs. Each holds a lock file, which the system releases when its process ends, however it ends.

The lock tells a killed run from one that is still running. Process ids do not: they are reused, and mean nothing
outside a container.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

SUFFIX = ".run"


def runs_folder(workspace: Path) -> Path:
    """Return the folder of the lock files of this machine; locks do not work across machines that share a workspace."""
    return workspace / ".runs" / socket.gethostname()


@contextmanager
def lock_run(folder: Path, run_id: str) -> Iterator[None]:
    """Hold the lock file of a run; if the block raises, the file stays for `settle_dead`.

    In a workspace that cannot be written, there is no lock file.
    """
    lock, path = FileLock(folder / f"{run_id}.new"), folder / f"{run_id}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        # It is renamed after it is locked, so that other processes never see it unlocked.
        (folder / f"{run_id}.new").replace(path)
    except OSError:
        yield
        return
    with lock:
        yield
        path.unlink(missing_ok=True)


def settle_dead(folder: Path, settle: Callable[[str], bool]) -> None:
    """Call a function with each run whose process has ended, and remove the lock file if it returns True."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with FileLock(path, timeout=0):
                if settle(path.stem):
                    path.unlink(missing_ok=True)
        except Timeout:
            continue
