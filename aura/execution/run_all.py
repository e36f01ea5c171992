"""Run one function on many items, whatever kills the workers."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from itertools import islice
from typing import Any, TypeVar

from tqdm import tqdm

from aura.core.errors import OutageError
from aura.execution import telemetry
from aura.execution.executors import Compute, Serial
from aura.execution.progress import show_progress

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items submitted ahead for each worker: enough to keep it busy, few to try again when it dies.
AHEAD = 2


def run_all(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    compute: Compute,
    title: str,
    on_death: Callable[[Item], Result],
    unit: str = "recording",
) -> list[Result]:
    """Call ``work`` on every item.

    A worker may die of too little memory or a fault in a library. The items that may have caused it are tried once
    more, each alone; an item that kills a worker again counts as failed, and the others continue.

    Parameters
    ----------
    items
        Items to work on.
    work
        Function of one item, which can be pickled.
    compute
        Where the work is done.
    title
        Title of the progress bar.
    on_death
        Returns the result of an item that kills its worker.
    unit
        What an item is, for the progress bar.

    Returns
    -------
    list
        Results in the order of the items.
    """
    results: dict[int, Result] = {}
    with (
        show_progress(title=title, unit=unit, total=len(items)) as bar,
        telemetry.queue(lambda: len(items) - len(results)),
    ):
        # In this process an item is done as soon as it is submitted.
        ahead = 1 if isinstance(compute, Serial) else AHEAD * compute.n_workers if items else 0
        suspects = _work_off(dict(enumerate(items)), work, compute, ahead, results, bar)
        for index in suspects:
            if _work_off({index: items[index]}, work, compute, 1, results, bar):
                results[index] = on_death(items[index])
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
    """Fill in the results of items, and return the indices of those whose worker died."""
    suspects: list[int] = []
    waiting = iter(todo.items())
    broken = True
    while broken:
        out: dict[Future[Result], int] = {}
        with compute.executor() as executor:
            broken = False
            while True:
                # A broken pool accepts nothing more and fails all submitted items; the one that broke it is unknown.
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
                            "the connection to the Dask scheduler is lost; finished items are kept, run the stage again"
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
    """Submit an item; if the pool broke meanwhile, the item fails like the others."""
    try:
        return executor.submit(work, item)
    except BrokenExecutor as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        return failed
