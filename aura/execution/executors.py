"""Executors of this machine: in this process, or in several."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from aura.core.errors import AuraError


class Compute(Protocol):
    """Where work is done; the files of conf/compute choose one."""

    @property
    def n_workers(self) -> int:
        """Number of items that are worked on at the same time."""

    @property
    def deaths(self) -> tuple[type[BaseException], ...]:
        """Errors of a future whose worker died."""

    def executor(self) -> AbstractContextManager[Executor]:
        """Open an executor; a new one if the last one broke."""

    def forest(self) -> AbstractContextManager[Any]:
        """Let joblib, and so scikit-learn's forests, use the same workers."""


@dataclass(frozen=True)
class Serial:
    """Work in this process, one item after the other; an item that kills the process ends the stage."""

    n_workers: int = 1
    deaths = ()

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Open an executor that works at once."""
        yield _Immediate()

    def forest(self) -> AbstractContextManager[Any]:
        """Leave joblib as it is."""
        return nullcontext()


@dataclass(frozen=True)
class Processes:
    """Work in processes of this machine.

    Parameters
    ----------
    workers
        Number of processes; None means one per core.
    """

    workers: int | None = None
    deaths = (BrokenExecutor,)

    def __post_init__(self) -> None:
        """Raise if the number of processes is not allowed."""
        if self.workers is not None and not (isinstance(self.workers, int) and self.workers >= 1):
            raise AuraError(
                f"compute.workers={self.workers}; allowed are null (one per core) and 1 or more, or compute=serial"
            )

    @property
    def n_workers(self) -> int:
        """Number of processes."""
        return self.workers or count_cores()

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Open a pool of processes; inside `kept_workers`, the pool of before, unless it broke."""
        executor = _take_kept(self.n_workers) or _start_pool(self.n_workers)
        try:
            yield executor
            if _kept is not None:
                _kept[self.n_workers] = executor
        except KeyboardInterrupt:
            # After Ctrl-C the items at work are not waited for; the next run does them again.
            for process in multiprocessing.active_children():
                process.kill()
            raise
        finally:
            if _kept is None or executor not in _kept.values():
                executor.shutdown(cancel_futures=True)

    def forest(self) -> AbstractContextManager[Any]:
        """Leave joblib as it is: trees are grown by threads, which share the data."""
        return nullcontext()


# Pools that wait for their next use, by number of workers; None outside of `kept_workers`.
_kept: dict[int, ProcessPoolExecutor] | None = None


@contextmanager
def kept_workers() -> Iterator[None]:
    """Keep the processes of `Processes` from one use to the next: they take seconds to import their libraries."""
    global _kept
    assert _kept is None
    _kept = {}
    try:
        yield
    finally:
        pools, _kept = _kept, None
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)


def _take_kept(n_workers: int) -> ProcessPoolExecutor | None:
    """Take a pool that was kept; None if there is none, or it is broken."""
    pool = _kept.pop(n_workers, None) if _kept else None
    if pool is None:
        return None
    try:
        pool.submit(os.getpid)
    except BrokenExecutor:
        pool.shutdown()
        return None
    return pool


def _start_pool(n_workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork of a process with threads can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n_workers, mp_context=context, initializer=_start_worker)


class _Immediate(Executor):
    """An executor that works at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function, and return its result as a future."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def count_cores() -> int:
    """Return the number of cores that this process may use, within the limits of its container."""
    # Imported here, since it takes a tenth of a second, and workers do not need it.
    import joblib

    n_cores: int = joblib.cpu_count()
    return n_cores


def _start_worker() -> None:
    """Start a worker: one thread for numpy's libraries, since workers share the cores; end only with the parent."""
    # Ctrl-C reaches all processes of a terminal; only the parent reacts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent is killed; otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
