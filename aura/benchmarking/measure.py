"""Run a command and say what it cost, with all processes below it.

Seconds and bytes are those that the kernel adds up: of a process and of all below it that were waited for, as ours are.
They are read after its end, so no short-lived process is missed. Memory has to be looked at while it runs. The largest
memory that ``wait4`` tells is not used: it is of one process, and never less than that of the process that started it.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY_S = 0.1
# Looking takes no more than this share of one core, however many processes the machine has.
MAX_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command used, from its start to its end; bytes are None where the system does not tell.

    Parameters
    ----------
    wall_s
        By the clock.
    cpu_s
        Of all cores.
    memory_peak_bytes
        The most that all its processes had at the same time, looked at ten times a second; what they share counts in
        each, as in the metrics of the stages.
    read_bytes, written_bytes
        That it asked for and handed over: files, whether or not the system had them in memory, and pipes.
    disk_read_bytes, disk_written_bytes
        That went from and to disks because of it; of files in memory nothing has to be read.
    """

    wall_s: float
    cpu_s: float
    memory_peak_bytes: int
    read_bytes: int | None
    written_bytes: int | None
    disk_read_bytes: int | None
    disk_written_bytes: int | None


def measure(command: Sequence[str], *, folder: Path, env: Mapping[str, str], output: Path) -> tuple[int, Cost]:
    """Run a command to its end, in a process group of its own, of which nothing is left behind.

    When this process is asked to end meanwhile, the command is killed: what it was to make is for nobody to keep.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Where it runs.
    env
        All of its environment.
    output
        File for what it says.

    Returns
    -------
    int, Cost
        Its exit code, negative for a signal, and what it cost.
    """
    with output.open("wb") as said:
        began_s = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, process_group=0
        )
    memory = _Memory(child.pid)
    try:
        memory.start()
        # It stays, as a zombie, so that its counters can be read and its number is nobody else's.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    finally:
        wall_s = time.perf_counter() - began_s
        # macOS refuses where only the zombie is left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        memory.over.set()
        memory.join()
        moved = _moved(child.pid)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, Cost(wall_s, used.ru_utime + used.ru_stime, memory.peak_bytes, *moved)


class _Memory(threading.Thread):
    """Looks at the memory of a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.peak_bytes = 0
        self._pid = pid

    def run(self) -> None:
        """Keep the highest sum."""
        pause_s = 0.0
        while not self.over.wait(pause_s):
            began_s = time.perf_counter()
            self.peak_bytes = max(self.peak_bytes, _memory_bytes(self._pid))
            pause_s = max(SAMPLE_EVERY_S, (time.perf_counter() - began_s) / MAX_SHARE)


def _memory_bytes(pid: int) -> int:
    total = 0
    # It, or one of those below it, has ended meanwhile.
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def _moved(pid: int) -> tuple[int, int, int, int] | tuple[None, None, None, None]:
    """Bytes read and written, then those from and to disks, of a process that has ended and not been waited for."""
    process = psutil.Process(pid)
    # macOS has none of these, and a container may not be let see them.
    if not hasattr(process, "io_counters"):
        return None, None, None, None
    try:
        counters = process.io_counters()
    except psutil.AccessDenied:
        return None, None, None, None
    return counters.read_chars, counters.write_chars, counters.read_bytes, counters.write_bytes
