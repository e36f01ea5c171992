"""The same work in this process, in several, and on a Dask cluster; and what happens when a worker dies."""

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from aura.core.errors import AuraError
from aura.execution.dask import Dask
from aura.execution.executors import Compute, Processes, Serial, kept_workers
from aura.execution.run_all import run_all

DASK = Dask(workers=2)
IN_WORKERS = pytest.mark.parametrize(
    "compute",
    [pytest.param(Processes(2), marks=pytest.mark.slow), pytest.param(DASK, marks=pytest.mark.slow)],
    ids=["processes", "dask"],
)
EVERYWHERE = pytest.mark.parametrize(
    "compute",
    [Serial(), pytest.param(Processes(2), marks=pytest.mark.slow), pytest.param(DASK, marks=pytest.mark.slow)],
    ids=["serial", "processes", "dask"],
)


@pytest.mark.slow
def test_a_local_cluster_listens_on_this_machine_only() -> None:
    assert run_all([3], square, compute=DASK, title="squares", on_death=square) == [9]
    here = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in (here, *here.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}


def square(number: int) -> int:
    return number**2


def square_or_die(number: int) -> int:
    if number in (3, 11):
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def die_once(number: int, folder: Path) -> int:
    """Die at the first try of 5: the marker says that it was tried."""
    marker = folder / str(number)
    tried = marker.exists()
    marker.touch()
    if number == 5 and not tried:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def slow_square(number: int, folder: Path) -> int:
    (folder / f"pid{os.getpid()}").touch()
    time.sleep(0.05)
    return number**2


def lost(number: int) -> int:
    return -number


def fail(number: int) -> int:
    raise OSError(28, "No space left on device")


@EVERYWHERE
def test_results_are_in_the_order_of_the_items(compute: Compute) -> None:
    assert run_all(range(40), square, compute=compute, title="", on_death=lost) == [n**2 for n in range(40)]
    assert run_all([], square, compute=compute, title="", on_death=lost) == []


@IN_WORKERS
def test_only_an_item_that_kills_its_worker_twice_fails(compute: Compute) -> None:
    expected = [-n if n in (3, 11) else n**2 for n in range(20)]
    assert run_all(range(20), square_or_die, compute=compute, title="", on_death=lost) == expected


@IN_WORKERS
def test_an_item_that_kills_its_worker_once_succeeds(compute: Compute, tmp_path: Path) -> None:
    results = run_all(range(10), partial(die_once, folder=tmp_path), compute=compute, title="", on_death=lost)
    assert results == [n**2 for n in range(10)]


@IN_WORKERS
def test_kill_9_of_a_worker_from_outside_loses_nothing(compute: Compute, tmp_path: Path) -> None:
    killed = []

    def kill() -> None:
        while not (begun := list(tmp_path.glob("pid*"))):
            time.sleep(0.01)
        killed.append(int(begun[0].name[3:]))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    results = run_all(range(60), partial(slow_square, folder=tmp_path), compute=compute, title="", on_death=lost)
    killer.join()
    assert results == [n**2 for n in range(60)]
    # Another did what it had, whether or not a new one was there in time.
    assert {int(path.name[3:]) for path in tmp_path.glob("pid*")} > set(killed)


@EVERYWHERE
def test_an_error_ends_the_work_and_is_raised(compute: Compute) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        run_all(range(5), fail, compute=compute, title="", on_death=lost)


def pid(number: int) -> int:
    return os.getpid()


@pytest.mark.slow
def test_workers_are_kept_for_the_next_work_unless_one_died() -> None:
    compute = Processes(1)
    work = partial(run_all, compute=compute, title="pids")
    with kept_workers():
        first, second = (work([1, 2], pid, on_death=pid) for _ in range(2))
        assert len({*first, *second}) == 1
        assert work([3], square_or_die, on_death=lambda _: -1) == [-1]
        third = work([1, 2], pid, on_death=pid)
        assert len({*third}) == 1
        assert not {*third} & {*first}
    assert not any(psutil.pid_exists(worker) for worker in (*first, *third))
    assert len({*work([1], pid, on_death=pid), *work([1], pid, on_death=pid)}) == 2


def test_an_invalid_number_of_processes_is_refused() -> None:
    with pytest.raises(AuraError, match="allowed are null"):
        Processes(0)
    with pytest.raises(AuraError, match=r"null with compute\.address"):
        Dask("tcp://127.0.0.1:8786", workers=2)
