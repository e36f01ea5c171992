"""Run a command and measure its cost, including all its child processes.

The kernel adds up seconds and bytes of a process and of all children that were waited for, as those of Aura are. They
are read after the end, so no short-lived process is missed. Memory is sampled during the run. The peak memory that
``wait4`` reports is not used: it is that of a single process, and at least that of the process that started it.
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
# Sampling takes at most this share of one core, however many processes there are.
MAX_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a command, from its start to its end; bytes are None if the system does not report them.

    Parameters
    ----------
    wall_s
        Elapsed time in seconds.
    cpu_s
        CPU time of all cores in seconds.
    memory_peak_bytes
        Largest total memory of its processes, sampled ten times a second. Shared memory counts for each process, as in
        the telemetry of the stages.
    read_bytes, written_bytes
        Bytes that it read and wrote, in files (cached or not) and pipes.
    disk_read_bytes, disk_written_bytes
        Bytes that it transferred from and to disks; cached files are not read from a disk.
    """

    wall_s: float
    cpu_s: float
    memory_peak_bytes: int
    read_bytes: int | None
    written_bytes: int | None
    disk_read_bytes: int | None
    disk_written_bytes: int | None


def measure(command: Sequence[str], *, folder: Path, env: Mapping[str, str], output: Path) -> tuple[int, Cost]:
    """Run a command to its end, in a process group of its own, which is killed at the end.

    If this process is asked to end meanwhile, the command is killed, since its output is temporary.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Working folder.
    env
        The whole environment of the command.
    output
        File for its standard output and error.

    Returns
    -------
    code : int
        Exit code, or the negative number of a signal.
    cost : Cost
        Cost of the command.
    """
    with output.open("wb") as file:
        began_s = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, process_group=0
        )
    memory = _Memory(child.pid)
    try:
        memory.start()
        # The process stays as a zombie, so that its counters can be read and its id is not reused.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    finally:
        wall_s = time.perf_counter() - began_s
        # macOS does not permit this if only the zombie is left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        memory.is_over.set()
        memory.join()
        transferred = _read_transfers(child.pid)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, Cost(wall_s, used.ru_utime + used.ru_stime, memory.peak_bytes, *transferred)


class _Memory(threading.Thread):
    """Sample the memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.is_over = threading.Event()
        self.peak_bytes = 0
        self._pid = pid

    def run(self) -> None:
        """Keep the largest total."""
        pause_s = 0.0
        while not self.is_over.wait(pause_s):
            began_s = time.perf_counter()
            self.peak_bytes = max(self.peak_bytes, _sum_memory(self._pid))
            pause_s = max(SAMPLE_EVERY_S, (time.perf_counter() - began_s) / MAX_SHARE)


def _sum_memory(pid: int) -> int:
    """Sum the resident memory of a process and its children in bytes."""
    total = 0
    # A process may end meanwhile.
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def _read_transfers(pid: int) -> tuple[int, int, int, int] | tuple[None, None, None, None]:
    """Return bytes read, written, read from disk and written to disk by a zombie process."""
    process = psutil.Process(pid)
    # macOS does not have these counters, and a container may not be allowed to read them.
    if not hasattr(process, "io_counters"):
        return None, None, None, None
    try:
        counters = process.io_counters()
    except psutil.AccessDenied:
        return None, None, None, None
    return counters.read_chars, counters.write_chars, counters.read_bytes, counters.write_bytes
