"""Answer beats with probabilities and alarms as they arrive, from standard input or over a connection."""

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
from aura.core.wording import counted
from aura.detection.live import Line, Live, encode
from aura.detection.live_port import MAX_LINE_BYTES, listen, open_port, parse_source, read_token
from aura.detection.live_state import StateFile
from aura.serving.metrics import Meters
from aura.stages.live import LiveConfig
from aura.tracking import registry, runs
from aura.tracking.registry import Registered

# Kinds of lines that answer a sender even if all others go to a file: they are about its own lines.
SENDER_KINDS = ("held", "refused")


def run(config: Config) -> None:
    """Answer each line of beats with the lines of the steps that it completes, and of the alarms.

    An accepted line is in the state file before it is answered. However a run ended, the next one continues: it appends
    the lines that its output file lacks, and repeats the last lines to a sender that asks for them.
    """
    wanted = config.section(LiveConfig)
    is_port = wanted.source != "-"
    if is_port:
        parse_source(wanted.source)
    token = read_token() if is_port else None
    _check_folders(wanted)
    runs.connect(config)
    registered = registry.load_or_default(config, wanted.model)
    with ExitStack() as stack:
        service = _open_service(wanted, registered, stack)
        _print_model(registered)
        if is_port:
            server = stack.enter_context(open_port(wanted.source, token))
            listen(server, token, lambda: _Session(service))
            return
        session = _Session(service)
        _serve_stdin(session)
    _check_all_accepted(session)


def _check_folders(wanted: LiveConfig) -> None:
    """Raise AuraError if the folder of the output or of the state does not exist."""
    for key, name in (("output", wanted.output), ("state", wanted.state)):
        if name is not None and not Path(name).parent.is_dir():
            raise AuraError(f"{key}={name}: the folder {Path(name).parent} does not exist; create it first")


def _open_service(wanted: LiveConfig, registered: Registered, stack: ExitStack) -> "_Service":
    """Open the state and the output for this process alone, and restore the state."""
    detector = registered.detector
    state = StateFile(None if wanted.state is None else Path(wanted.state), _made_of(registered))
    if state.path is not None:
        stack.enter_context(_lock("state", state.path))
        stack.callback(state.close)
    output = None
    if wanted.output != "-":
        stack.enter_context(_lock("output", Path(wanted.output)))
        output = stack.enter_context(_open_output(Path(wanted.output)))
    provenance = registered.provenance
    made_by: Line = {**provenance.to_dict(), "warning": provenance.warning(synthetic_data=False)}
    meters = Meters({"model": provenance.model, "version": provenance.version, "run_id": provenance.run_id})
    return _Service(Live(detector), state, output, meters, made_by, step_s=detector.spec.step_s)


def _made_of(registered: Registered) -> str:
    """Digest everything that decides the lines of a detector, down to their last digit."""
    detector = registered.detector
    software = [type(detector.model).__name__, __version__, *map(version, ("numpy", "numba"))]
    return digest(registered.run_id, detector.threshold, detector.spec.to_dict(), asdict(detector.alarms), software)


def _print_model(registered: Registered) -> None:
    provenance = registered.provenance
    print(f"live: {provenance}; a step every {registered.detector.spec.step_s:g} s", file=sys.stderr)
    warning = provenance.warning(synthetic_data=False)
    if warning:
        print(f"live: warning: {warning}", file=sys.stderr)


def _check_all_accepted(session: "_Session") -> None:
    """Raise AuraError if lines were refused or are still held back."""
    if session.n_refused:
        raise AuraError(f"refused: {session.n_refused} of {counted(session.n_lines, 'line')}; the others were answered")
    if session.n_held:
        raise AuraError(
            f"held back at the end: {counted(session.n_held, 'line')}, since the time jumps ahead and no later line "
            f"confirms it; the others were answered"
        )


class _Service:
    """Save the lines of the detector, and relay them to a file or back to the sender."""

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
            _complete_output(output, live, made_by)

    def save(self, lines: Sequence[Line], text: str | None = None) -> list[Line]:
        """Count and save an answer, with the line that it answers; return the lines for the sender."""
        self.meters.windows((line.get("reason") for line in lines if line["kind"] == "step"), step_s=self._step_s)
        for line in lines:
            if line["kind"] == "alarm":
                self.meters.alarm()
        try:
            self._state.save(self.live.state, text)
            if self.output is not None:
                _write(self.output, encode(lines))
        except OSError as error:
            # A lost sender may return; an answer that cannot be saved ends the run.
            raise AuraError(f"state or output cannot be written: {error}") from error
        if self.output is None:
            return list(lines)
        return [line for line in lines if line["kind"] in SENDER_KINDS]


class _Session:
    """Answer the lines of one sender."""

    def __init__(self, service: _Service) -> None:
        self._service, self._live = service, service.live
        self.n_lines = self.n_refused = self._n_known = 0
        self.accepted = True
        # Whether all lines so far repeat known beats, as after a restart of the sender.
        self._is_repeating = True

    @property
    def n_held(self) -> int:
        """Number of lines that are held back."""
        return self._live.n_held

    def hello(self) -> list[Line]:
        """Return what was accepted before, and repeat the last answer, which may have been lost."""
        repeated = [] if self._service.output is not None else self._live.lines_after(self._live.before_n)
        return [{**self._live.ready_line(), "made_by": self._service.made_by}, *repeated]

    def answer(self, text: str) -> list[Line]:
        """Return the answer to a line, after it is saved."""
        self.n_lines += 1
        self.accepted = True
        try:
            after_n = _parse_request(text)
            if after_n is not None:
                return self._live.lines_after(after_n)
            self._is_repeating = self._is_repeating and self._live.is_known(text)
            if self._is_repeating:
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
        return self._service.save(lines, text)

    def end(self) -> list[Line]:
        """Return the last lines, at the end of the connection."""
        return self._service.save(self._live.end())


def _serve_stdin(session: _Session) -> None:
    """Answer all lines of standard input."""
    sink = sys.stdout.buffer
    _write(sink, encode(session.hello()))
    for text in _read_lines(sys.stdin.buffer):
        _write(sink, encode(session.answer(text)))
    _write(sink, encode(session.end()))


def _complete_output(output: BinaryIO, live: Live, made_by: Line) -> None:
    """Append the lines that an output file lacks; raise AuraError if it is not the output of this state.

    The first line of a new file is numbered 0 and names the detector.
    """
    size = output.seek(0, os.SEEK_END)
    output.seek(max(size - MAX_LINE_BYTES, 0))
    *complete, part = output.read().split(b"\n")
    refusal = f"output={output.name} does not belong to this state; name another file"
    last_n = 0
    if complete:
        try:
            last = json.loads(complete[-1])
            last_n = last["n"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise AuraError(refusal) from error
        if not isinstance(last_n, int) or not 0 <= last_n <= live.n:
            raise AuraError(refusal)
        kept = live.lines_after(last_n - 1)
        if len(kept) == live.n - last_n + 1 and kept[0] != last:
            raise AuraError(refusal)
    missing = live.lines_after(last_n)
    if len(missing) < live.n - last_n and size:
        raise AuraError(
            f"output={output.name} ends with line {last_n}; the lines after it are no longer kept; name another file"
        )
    head: list[Line] = [] if complete else [{"kind": "model", "n": 0, **made_by}]
    text = encode([*head, *missing])
    # A killed run can leave an incomplete last line, which must be the beginning of the missing text.
    if not text.startswith(part):
        raise AuraError(refusal)
    _write(output, text[len(part) :])


def _open_output(path: Path) -> BinaryIO:
    """Open a file to read its end and to append to it."""
    if path.exists() and not path.is_file():
        raise AuraError(f"output={path} is not a file; name a file, which need not exist yet")
    try:
        return path.open("a+b")
    except OSError as error:
        raise AuraError(f"output={path} cannot be opened: {error.strerror}") from error


@contextmanager
def _lock(key: str, path: Path) -> Iterator[None]:
    """Lock a file against other processes."""
    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise AuraError(f"{key}={path} is in use by another run; name another file") from error
    except OSError as error:
        raise AuraError(f"{key}={path}: the lock file beside it cannot be opened: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _parse_request(text: str) -> int | None:
    """Parse a request for the lines after a number; None if the line is not such a request."""
    if "after_n" not in text:
        return None
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict) or "after_n" not in request:
        return None
    n = request["after_n"]
    if request.keys() != {"after_n"} or not isinstance(n, int) or isinstance(n, bool):
        raise AuraError('after_n must be the number of the last line that was received, such as {"after_n": 120}')
    return n


def _read_lines(source: BinaryIO) -> Iterator[str]:
    """Yield the lines that are not empty; of a line that is too long, only the beginning."""
    while line := source.readline(MAX_LINE_BYTES):
        rest = line
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = source.readline(MAX_LINE_BYTES)
        if line.strip():
            yield line.decode("utf-8", errors="replace")


def _write(sink: BinaryIO, data: bytes) -> None:
    if data:
        sink.write(data)
        sink.flush()
