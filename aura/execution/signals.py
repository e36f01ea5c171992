"""How a process ends after Ctrl-C and SIGTERM."""

import os
import signal
import threading
from types import FrameType
from typing import NoReturn

# Exit codes after Ctrl-C and SIGTERM, and the time to tidy up after SIGTERM: Docker kills after ten seconds.
INTERRUPTED, TERMINATED, TIDY_WITHIN_S = 130, 143, 4.0


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived, which Docker, Kubernetes and batch systems send to stop a process."""


def terminate(signum: int, frame: FrameType | None) -> NoReturn:
    """Handle SIGTERM like Ctrl-C, but end within `TIDY_WITHIN_S`."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tidy_up(TERMINATED)
    raise Terminated


def tidy_up(code: int) -> None:
    """End the process after `TIDY_WITHIN_S`, even if other threads still wait, such as for a tracking server."""
    timer = threading.Timer(TIDY_WITHIN_S, os._exit, (code,))
    timer.daemon = True
    timer.start()
