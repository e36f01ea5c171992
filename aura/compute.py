"""Run one function over many items, in this process or in several, with a progress bar."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from aura.errors import AuraError

Item = TypeVar("Item")
Result = TypeVar("Result")


def over(items: Sequence[Item], work: Callable[[Item], Result], *, workers: int | None, title: str) -> list[Result]:
    """Call ``work`` on every item.

    Parameters
    ----------
    items
        What to work on.
    work
        A function that can be pickled.
    workers
        Number of processes; None is one per core, 0 this process alone.
    title
        What the progress bar says.

    Returns
    -------
    list
        The results, in the order of the items.
    """
    n_processes = min(os.cpu_count() or 1 if workers is None else workers, len(items))
    # One process is no faster than this one, and takes seconds to start.
    results = _in_processes(items, work, n_processes) if n_processes > 1 else map(work, items)
    return list(tqdm(results, total=len(items), desc=title, unit="recording", dynamic_ncols=True))


def _in_processes(items: Sequence[Item], work: Callable[[Item], Result], n_processes: int) -> Iterator[Result]:
    # Spawned, not forked: a fork of a process with threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, mp_context=context, initializer=_one_thread) as executor:
        try:
            yield from executor.map(work, items)
        except BrokenProcessPool as error:
            raise AuraError(
                "a worker process died, perhaps for want of memory; what was finished is kept, so run it again, "
                "with fewer compute.workers"
            ) from error


def _one_thread() -> None:
    """Keep the libraries that numpy will load to one thread: the processes share the cores already."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
