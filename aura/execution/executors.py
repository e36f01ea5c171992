"""Run one function over many items: in this process, in several, or on a Dask cluster."""

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
    """Where work is done; the YAML files of conf/compute name one."""

    @property
    def n_workers(self) -> int:
        """Items that are worked on at the same time."""

    @property
    def deaths(self) -> tuple[type[BaseException], ...]:
        """What a future raises when the worker died that worked on it, or was about to."""

    def executor(self) -> AbstractContextManager[Executor]:
        """Give an executor; a new one after the last one broke."""

    def forest(self) -> AbstractContextManager[Any]:
        """Have joblib, and so scikit-learn's forests, work here as well."""


@dataclass(frozen=True)
class Serial:
    """In this process, one item after the other; what kills one kills all."""

    n_workers: int = 1
    deaths = ()

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Give an executor that works while it is asked."""
        yield _Now()

    def forest(self) -> AbstractContextManager[Any]:
        """Leave joblib alone."""
        return nullcontext()


@dataclass(frozen=True)
class Processes:
    """In processes of this machine.

    Parameters
    ----------
    workers
        How many; None is one per core.
    """

    workers: int | None = None
    deaths = (BrokenExecutor,)

    def __post_init__(self) -> None:
        """Refuse what is no number of processes."""
        if self.workers is not None and not (isinstance(self.workers, int) and self.workers >= 1):
            raise AuraError(
                f"compute.workers={self.workers}; allowed are null (one per core) and 1 or more, or compute=serial"
            )

    @property
    def n_workers(self) -> int:
        """Number of processes."""
        return self.workers or _n_cores()

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Give a pool of processes."""
        # Spawned, not forked: a fork of a process with threads can hang.
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(self.n_workers, mp_context=context, initializer=_begin)
        try:
            yield executor
        except KeyboardInterrupt:
            # Who is interrupted does not wait for what they are at; it is done again the next time.
            for process in multiprocessing.active_children():
                process.kill()
            raise
        finally:
            executor.shutdown(cancel_futures=True)

    def forest(self) -> AbstractContextManager[Any]:
        """Leave joblib alone: trees are grown by threads, which share the data."""
        return nullcontext()


class _Now(Executor):
    """Works while it is asked."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _n_cores() -> int:
    """Cores that this process may use, also by the limits of its container."""
    # A tenth of a second, which workers need not wait for.
    import joblib

    n_cores: int = joblib.cpu_count()
    return n_cores


def _begin() -> None:
    """Keep the libraries that numpy will load to one thread, as all share the cores, and end with the parent alone."""
    # Ctrl-C reaches all processes of a terminal; the parent says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one is killed that started it; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
