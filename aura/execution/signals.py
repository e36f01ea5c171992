"""How a process ends that is asked to."""

import os
import signal
import threading
from types import FrameType
from typing import NoReturn

# Exit codes of Ctrl-C and SIGTERM, and how long the tidying up after the latter may take: ten seconds after it, Docker
# kills.
INTERRUPTED, TERMINATED, TIDY_WITHIN_S = 130, 143, 4.0


class Terminated(KeyboardInterrupt):
    """Somebody asked this process to end, as Docker, Kubernetes and batch systems do."""


def terminate(signum: int, frame: FrameType | None) -> NoReturn:
    """Tidy up like after Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tidy_up(TERMINATED)
    raise Terminated


def tidy_up(code: int) -> None:
    """End soon, whatever other threads are at: a tracking server that is away would be waited for."""
    last = threading.Timer(TIDY_WITHIN_S, os._exit, (code,))
    last.daemon = True
    last.start()
