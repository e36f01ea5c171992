"""Run one function over many items: in this process, in several, or on a Dask cluster."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from aura import metrics
from aura.errors import AuraError, OutageError

Item = TypeVar("Item")
Result = TypeVar("Result")
# Items handed out ahead of each worker: enough to keep it busy, few to try again when one dies.
AHEAD = 2
WORKERS_WITHIN_S = 120


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


@dataclass(frozen=True)
class Dask:
    """On a Dask cluster, whose workers see the same files under the same paths.

    Parameters
    ----------
    address
        Of its scheduler, such as ``tcp://10.0.0.5:8786``; None starts a cluster on this machine.
    workers
        Of the cluster that is started here; None is one per core.
    """

    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.workers is None:
            return
        if self.address is not None or not (isinstance(self.workers, int) and self.workers >= 1):
            raise AuraError(
                f"compute.workers={self.workers}; allowed is 1 or more for a cluster that is started here, "
                "and null with compute.address"
            )

    @property
    def n_workers(self) -> int:
        """Threads of all workers."""
        threads: dict[str, int] = _client(self.address, self.workers).nthreads()
        return max(sum(threads.values()), 1)

    @property
    def deaths(self) -> tuple[type[BaseException], ...]:
        """Give what a task ends with that killed its worker."""
        from distributed.scheduler import KilledWorker

        return (KilledWorker,)

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Give an executor of the cluster; it outlives the executor."""
        with _client(self.address, self.workers).get_executor(pure=False) as executor:
            yield executor

    def forest(self) -> AbstractContextManager[Any]:
        """Have trees grown on the cluster."""
        import joblib

        _client(self.address, self.workers)
        manager: AbstractContextManager[Any] = joblib.parallel_config("dask")
        return manager


def over(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    compute: Compute,
    title: str,
    lost: Callable[[Item], Result],
) -> list[Result]:
    """Call ``work`` on every item.

    When a worker dies, of memory or a fault in a library, the items it may have died of are tried once more, each
    alone; the item that kills a worker again is lost, and the rest goes on.

    Parameters
    ----------
    items
        What to work on.
    work
        A function that can be pickled.
    compute
        Where.
    title
        What the progress bar says.
    lost
        Gives the result of an item that kills its worker.

    Returns
    -------
    list
        The results, in the order of the items.
    """
    results: dict[int, Result] = {}
    with (
        tqdm(total=len(items), desc=title, unit="recording", dynamic_ncols=True, disable=None) as bar,
        metrics.queue(lambda: len(items) - len(results)),
    ):
        # In this process an item is done once it is handed out.
        ahead = 1 if isinstance(compute, Serial) else AHEAD * compute.n_workers if items else 0
        suspects = _work_off(dict(enumerate(items)), work, compute, ahead, results, bar)
        for index in suspects:
            if _work_off({index: items[index]}, work, compute, 1, results, bar):
                results[index] = lost(items[index])
                bar.update()
    return [results[index] for index in range(len(items))]


def _work_off(
    todo: dict[int, Item],
    work: Callable[[Item], Result],
    compute: Compute,
    ahead: int,
    results: dict[int, Result],
    bar: "tqdm[Any]",
) -> list[int]:
    """Fill in the results of items; give those whose worker died."""
    suspects: list[int] = []
    waiting = iter(todo.items())
    broken = True
    while broken:
        out: dict[Future[Result], int] = {}
        with compute.executor() as executor:
            broken = False
            while True:
                # A broken pool takes nothing more; all that was handed out fails, and nobody knows of which it died.
                if not broken:
                    items = islice(waiting, ahead - len(out))
                    out |= {_submit(executor, work, item): index for index, item in items}
                if not out:
                    break
                done, _ = wait(out, return_when=FIRST_COMPLETED)
                for future in done:
                    index = out.pop(future)
                    if future.cancelled():
                        raise OutageError(
                            "the connection to the Dask scheduler is lost; what was finished is kept, run it again"
                        )
                    error = future.exception()
                    if isinstance(error, compute.deaths):
                        suspects.append(index)
                        broken |= isinstance(error, BrokenExecutor)
                    else:
                        results[index] = future.result()
                        bar.update()
    return sorted(suspects)


def _submit(executor: Executor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Hand out an item; in a pool that broke in the meantime it fails like the others."""
    try:
        return executor.submit(work, item)
    except BrokenExecutor as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        return failed


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


@cache
def _client(address: str | None, workers: int | None) -> Any:
    """Give the connection to a cluster, the same for all stages of this process."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise AuraError("compute=dask needs dask and distributed: pip install 'aura-ecg[dask]'") from error

    if address is not None:
        client = Client(address)
        try:
            client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
        except TimeoutError as error:
            raise OutageError(f"compute.address={address}: no worker came within {WORKERS_WITHIN_S} s") from error
        return client
    # A recording that kills its worker is tried again alone, by us; not beside others, by the scheduler.
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    cluster = LocalCluster(
        n_workers=workers or _n_cores(),
        threads_per_worker=1,
        # Any free port, as another cluster may have the usual one, and for this machine alone.
        dashboard_address="127.0.0.1:0",
        # What became of the items of a dead worker is said by us.
        silence_logs=logging.CRITICAL,
    )
    return Client(cluster)


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
