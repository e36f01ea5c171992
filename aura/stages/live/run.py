"""Beats in, probabilities and alarms out, as they come, from standard input or over a connection."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from aura import __version__
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.detection.live import Line, Live, encode
from aura.detection.live_port import LONGEST, check_source, listen, open_port, read_token
from aura.detection.live_state import StateFile
from aura.serving.metrics import Meters
from aura.stages.live import LiveConfig
from aura.tracking import registry, runs
from aura.tracking.registry import Registered

# Lines about the lines of a sender, which it hears even if all others go to a file.
ABOUT_LINES = ("held", "refused")


def run(config: Config) -> None:
    """Answer each line of beats with the lines of the steps that it completes, and of the alarms.

    What was taken is in the state file before it is answered. Whatever ended a run, the next one knows by their numbers
    the last lines that were said: it adds to a file of its own what is missing there, and repeats them to who asks.
    """
    wanted = config.section(LiveConfig)
    listening = wanted.source != "-"
    if listening:
        check_source(wanted.source)
    token = read_token() if listening else None
    for key, name in (("output", wanted.output), ("state", wanted.state)):
        if name is not None and not Path(name).parent.is_dir():
            raise AuraError(f"{key}={name}: there is no folder {Path(name).parent}; make it first")
    runs.connect(config)
    address = wanted.model or registry.default_address(config)
    registered = registry.load(address, runtime=config.serving.runtime)
    detector = registered.detector
    # What else is computed with could change a last digit of what was said.
    made_with = [type(detector.model).__name__, __version__, *map(version, ("numpy", "numba"))]
    made_of = digest(registered.run_id, detector.threshold, detector.spec.to_dict(), asdict(detector.alarms), made_with)
    state = StateFile(None if wanted.state is None else Path(wanted.state), made_of)
    with ExitStack() as opened:
        if state.path is not None:
            opened.enter_context(_alone("state", state.path))
            opened.callback(state.close)
        output = None
        if wanted.output != "-":
            opened.enter_context(_alone("output", Path(wanted.output)))
            output = opened.enter_context(_open_output(Path(wanted.output)))
        provenance = registered.provenance
        warning = provenance.warning(synthetic_data=False)
        made_by: Line = {**provenance.to_dict(), "warning": warning}
        meters = Meters(_about(registered))
        service = _Service(Live(detector), state, output, meters, made_by, step_s=detector.spec.step_s)
        print(f"live: {provenance}; a step each {detector.spec.step_s:g} s", file=sys.stderr)
        if warning:
            print(f"live: warning: {warning}", file=sys.stderr)
        if listening:
            server = opened.enter_context(open_port(wanted.source, token))
            listen(server, token, lambda: _Session(service))
            return
        session = _Session(service)
        _serve_stdin(session)
    if session.n_refused:
        raise AuraError(f"{session.n_refused} of {session.n_lines} lines were refused; the others were answered")
    if service.live.n_held:
        raise AuraError(
            f"the last {service.live.n_held} lines are held back, as their time jumps ahead and no lines after them "
            f"confirm it; the others were answered"
        )


class _Service:
    """Says what the detector says, to a file of its own or to whom it hears."""

    def __init__(
        self, live: Live, state: StateFile, output: BinaryIO | None, meters: Meters, made_by: Line, *, step_s: float
    ) -> None:
        self.live, self.output, self.meters, self.made_by = live, output, meters, made_by
        self._state, self._step_s = state, step_s
        loaded = state.load()
        if loaded is not None:
            live.restore(loaded[0])
            for text in loaded[1]:
                live.take(text)
        if output is not None:
            _catch_up(output, live, made_by)

    def keep(self, lines: Sequence[Line], taken: str | None = None) -> list[Line]:
        """Count and save the lines of an answer; gives those that the sender is to hear."""
        self.meters.windows((line.get("reason") for line in lines if line["kind"] == "step"), step_s=self._step_s)
        for line in lines:
            if line["kind"] == "alarm":
                self.meters.alarm()
        try:
            self._state.save(self.live.state, taken)
            if self.output is not None:
                _write(self.output, encode(lines))
        except OSError as error:
            # Unlike a sender that is gone, this is the end.
            raise AuraError(f"what is known cannot be kept: {error}") from error
        if self.output is None:
            return list(lines)
        return [line for line in lines if line["kind"] in ABOUT_LINES]


class _Session:
    """Answers the lines of one sender."""

    def __init__(self, service: _Service) -> None:
        self._service, self._live = service, service.live
        self.n_lines = self.n_refused = self._n_known = 0
        self.accepted = True
        # Whether the sender is still at what is known, as one that begins again.
        self._again = True

    def hello(self) -> list[Line]:
        """Say what is known, and repeat the last answer: nobody knows whether it arrived."""
        repeated = [] if self._service.output is not None else self._live.since(self._live.before_n)
        return [{**self._live.ready(), "made_by": self._service.made_by}, *repeated]

    def answer(self, text: str) -> list[Line]:
        """Answer a line; it is kept before."""
        self.n_lines += 1
        self.accepted = True
        try:
            wanted = _after_n(text)
            if wanted is not None:
                return self._live.since(wanted)
            self._again = self._again and self._live.knows(text)
            if self._again:
                self._n_known += 1
                known = {"kind": "known", "line": self.n_lines, "after_s": self._live.after_s}
                return [known] if self._n_known == 1 else []
            with self._service.meters.request():
                lines = self._live.take(text)
        except AuraError as error:
            self.n_refused += 1
            self.accepted = False
            return [{"kind": "refused", "line": self.n_lines, "message": str(error)}]
        self.n_refused += [line["kind"] for line in lines].count("refused")
        return self._service.keep(lines, text)

    def end(self) -> list[Line]:
        """Answer the end of the connection."""
        return self._service.keep(self._live.end())


def _serve_stdin(session: _Session) -> None:
    """Answer all lines of standard input."""
    sink = sys.stdout.buffer
    _write(sink, encode(session.hello()))
    for text in _lines(sys.stdin.buffer):
        _write(sink, encode(session.answer(text)))
    _write(sink, encode(session.end()))


def _about(registered: Registered) -> dict[str, str]:
    """Labels of a detector; of a folder not where it is."""
    provenance = registered.provenance
    return {"model": provenance.model, "version": provenance.version, "run_id": provenance.run_id}


def _catch_up(output: BinaryIO, live: Live, made_by: Line) -> None:
    """Write to a file those lines that it does not hold yet; what it holds has to be of this detector.

    The first line of a new file is numbered 0, and says which detector made the others.
    """
    size = output.seek(0, os.SEEK_END)
    output.seek(max(size - LONGEST, 0))
    *whole, part = output.read().split(b"\n")
    refusal = f"output={output.name} is not of this state; name another file"
    last_n = 0
    if whole:
        try:
            last = json.loads(whole[-1])
            last_n = last["n"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise AuraError(refusal) from error
        if not isinstance(last_n, int) or not 0 <= last_n <= live.n:
            raise AuraError(refusal)
        kept = live.since(last_n - 1)
        if len(kept) == live.n - last_n + 1 and kept[0] != last:
            raise AuraError(refusal)
    missing = live.since(last_n)
    if len(missing) < live.n - last_n and size:
        raise AuraError(f"output={output.name} ends with line {last_n}; lines that old are not known any more")
    head: list[Line] = [] if whole else [{"kind": "model", "n": 0, **made_by}]
    text = encode([*head, *missing])
    # A run that was killed can leave the beginning of a line, and no other.
    if not text.startswith(part):
        raise AuraError(refusal)
    _write(output, text[len(part) :])


def _open_output(path: Path) -> BinaryIO:
    """Open a file to read its end and to append to it."""
    if path.exists() and not path.is_file():
        raise AuraError(f"output={path} is no file; name a file, or one that is not there yet")
    try:
        return path.open("a+b")
    except OSError as error:
        raise AuraError(f"output={path} cannot be opened: {error.strerror}") from error


@contextmanager
def _alone(key: str, path: Path) -> Iterator[None]:
    """See that no other process works on the same file at the same time."""
    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise AuraError(f"{key}={path} is another run's at work; name another file") from error
    except OSError as error:
        raise AuraError(f"{key}={path}: the lock file beside it cannot be opened: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _after_n(text: str) -> int | None:
    """Number of the last line that a sender has, where it asks for those after it."""
    if "after_n" not in text:
        return None
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or "after_n" not in asked:
        return None
    n = asked["after_n"]
    if asked.keys() != {"after_n"} or not isinstance(n, int) or isinstance(n, bool):
        raise AuraError('lines are asked for by the number of the last one that is there, such as {"after_n": 120}')
    return n


def _lines(source: BinaryIO) -> Iterator[str]:
    """Lines with something in them; of one that is too long, the beginning."""
    while line := source.readline(LONGEST):
        rest = line
        while len(rest) == LONGEST and not rest.endswith(b"\n"):
            rest = source.readline(LONGEST)
        if line.strip():
            yield line.decode("utf-8", errors="replace")


def _write(sink: BinaryIO, data: bytes) -> None:
    if data:
        sink.write(data)
        sink.flush()
