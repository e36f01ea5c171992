"""Beats in, probabilities and alarms out, as they come, from standard input or over a connection."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, NoReturn

from filelock import FileLock, Timeout

from aura import __version__, registry
from aura.config import Config
from aura.errors import AuraError
from aura.live import Line, Live
from aura.registry import Registered
from aura.scraped import Meters
from aura.table import digest, write_whole

# A line of a beat has some 40 bytes.
LONGEST = 4096
# Who is silent for so long has gone without saying so.
SILENCE_S = 60.0
# Of the state file; another one cannot be read.
FORMAT = 3
# Lines after which it is written anew; to take them again takes some seconds.
N_SINCE = 1000


def run(config: Config) -> None:
    """Answer each line of beats with the lines of the steps that it completes, and of the alarms.

    What was taken is in the state file before it is answered. Whatever ended a run, the next one knows by their numbers
    the last lines that were said: it adds to a file of its own what is missing there, and repeats them to who asks.
    """
    if config.live.source != "-":
        _address(config.live.source)
    for key, name in (("output", config.live.output), ("state", config.live.state)):
        if name is not None and not Path(name).parent.is_dir():
            raise AuraError(f"{key}={name}: there is no folder {Path(name).parent}; make it first")
    registered = registry.load(config.live.model, runtime=config.serving.runtime)
    detector = registered.detector
    # What else is computed with could change a last digit of what was said.
    made_with = [type(detector.model).__name__, __version__, *map(version, ("numpy", "numba"))]
    made_of = digest(registered.run_id, detector.threshold, detector.spec.to_dict(), asdict(detector.alarms), made_with)
    state = _State(None if config.live.state is None else Path(config.live.state), made_of)
    with ExitStack() as opened:
        if state.path is not None:
            opened.enter_context(_alone("state", state.path))
            opened.callback(state.close)
        output = None
        if config.live.output != "-":
            opened.enter_context(_alone("output", Path(config.live.output)))
            output = opened.enter_context(Path(config.live.output).open("a+b"))
        service = _Service(Live(detector), state, output, Meters(_about(registered)), step_s=detector.spec.step_s)
        print(f"live: {registered.name}, a step each {detector.spec.step_s:g} s", file=sys.stderr)
        if config.live.source != "-":
            _listen(config.live.source, service)
        n_lines, n_refused = service.serve(sys.stdin.buffer, sys.stdout.buffer)
    if n_refused:
        raise AuraError(f"{n_refused} of {n_lines} lines were refused; the others were answered")


class _State:
    """What a killed run leaves to the next one: all that was known at some time, and the lines taken since."""

    def __init__(self, path: Path | None, made_of: str) -> None:
        self.path, self._made_of = path, made_of
        self._file: BinaryIO | None = None
        self._n_since = 0

    def load(self) -> tuple[Line, list[str]] | None:
        """What was known, and the lines since; None where nothing was."""
        if self.path is None or not self.path.exists():
            return None
        try:
            # The last line may have been cut off; then it was not answered either.
            known, *since = self.path.read_bytes().split(b"\n")[:-1]
            state: Line = json.loads(known)
            made = state["format"], state["made_of"]
        except (ValueError, KeyError, TypeError) as error:
            raise AuraError(f"state={self.path} cannot be read; remove it to begin anew") from error
        if made != (FORMAT, self._made_of):
            raise AuraError(
                f"state={self.path} is of another model or installation; remove it to begin anew, or name another file"
            )
        return state, [line.decode() for line in since]

    def save(self, values: Callable[[], Line], taken: str | None = None) -> None:
        """Add a line that was taken, or, without one or after many, write all that is known, whole or not at all."""
        if self.path is None:
            return
        if self._file is not None and taken is not None and self._n_since < N_SINCE:
            # JSON does not care how its words are parted.
            self._file.write(f"{' '.join(taken.split())}\n".encode())
            self._n_since += 1
            return
        self.close()
        known = json.dumps({"format": FORMAT, "made_of": self._made_of, **values()})
        write_whole(self.path, lambda part: part.write_text(f"{known}\n", encoding="utf-8"))
        self._file, self._n_since = self.path.open("ab", buffering=0), 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class _Service:
    """Says what the detector says, to a file of its own or to whom it hears."""

    def __init__(self, live: Live, state: _State, output: BinaryIO | None, meters: Meters, *, step_s: float) -> None:
        self._live, self._state, self._output = live, state, output
        self._meters, self._step_s = meters, step_s
        loaded = state.load()
        if loaded is not None:
            live.restore(loaded[0]["live"])
            for text in loaded[1]:
                live.take(text)
        if output is not None:
            _catch_up(output, live)

    def serve(self, source: BinaryIO, sink: BinaryIO) -> tuple[int, int]:
        """Answer all lines of a source; gives how many there were, and how many were refused."""
        _write(sink, _bytes([self._live.ready()]))
        if self._output is None:
            # Nobody knows whether that arrived.
            _write(sink, _bytes(self._live.since(self._live.before_n)))
        n_lines = n_known = n_refused = 0
        again = True
        for text in _lines(source):
            n_lines += 1
            try:
                wanted = _after_n(text)
                if wanted is not None:
                    _write(sink, _bytes(self._live.since(wanted)))
                    continue
                again = again and self._live.knows(text)
                if again:
                    n_known += 1
                    if n_known == 1:
                        _write(sink, _bytes([{"kind": "known", "line": n_lines, "after_s": self._live.after_s}]))
                    continue
                with self._meters.request():
                    lines = self._live.take(text)
            except AuraError as error:
                n_refused += 1
                _write(sink, _bytes([{"kind": "refused", "line": n_lines, "message": str(error)}]))
            else:
                self._say(lines, sink, text)
        self._say(self._live.end(), sink)
        return n_lines, n_refused

    def _say(self, lines: Sequence[Line], sink: BinaryIO, taken: str | None = None) -> None:
        """Count, save, then say."""
        self._meters.windows((line.get("reason") for line in lines if line["kind"] == "step"), step_s=self._step_s)
        for line in lines:
            if line["kind"] == "alarm":
                self._meters.alarm()
        try:
            self._state.save(lambda: {"live": self._live.state()}, taken)
            if self._output is not None:
                _write(self._output, _bytes(lines))
        except OSError as error:
            # Unlike a sender that is gone, this is the end.
            raise AuraError(f"what is known cannot be kept: {error}") from error
        if self._output is None:
            _write(sink, _bytes(lines))


def _about(registered: Registered) -> dict[str, str]:
    """Labels of a detector; of a folder not where it is."""
    return {"model": registered.name if ":/" in registered.name else "a folder", "run_id": registered.run_id}


def _catch_up(output: BinaryIO, live: Live) -> None:
    """Write to a file those lines that it does not hold yet; what it holds has to be of this detector."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(size - LONGEST, 0))
    *whole, part = output.read().split(b"\n")
    refusal = f"output={output.name} is not of this state; name another file"
    last_n = 0
    if whole:
        try:
            last = json.loads(whole[-1])
            last_n = last["n"]
        except (ValueError, KeyError, TypeError) as error:
            raise AuraError(refusal) from error
        if not isinstance(last_n, int) or not 0 < last_n <= live.n:
            raise AuraError(refusal)
        kept = live.since(last_n - 1)
        if len(kept) == live.n - last_n + 1 and kept[0] != last:
            raise AuraError(refusal)
    missing = live.since(last_n)
    if len(missing) < live.n - last_n and size:
        raise AuraError(f"output={output.name} ends with line {last_n}; lines that old are not known any more")
    text = _bytes(missing)
    # A run that was killed can leave the beginning of a line, and no other.
    if not text.startswith(part):
        raise AuraError(refusal)
    _write(output, text[len(part) :])


def _listen(address: str, service: _Service) -> NoReturn:
    """Serve one connection after the other, for ever."""
    try:
        server = socket.create_server(_address(address))
    except OSError as error:
        raise AuraError(f"source={address}: nobody can be waited for there: {error.strerror}") from error
    with server:
        print(f"live: waits at {server.getsockname()[0]}:{server.getsockname()[1]}", file=sys.stderr, flush=True)
        while True:
            connection, (peer, *_) = server.accept()
            connection.settimeout(SILENCE_S)
            try:
                with connection, connection.makefile("rb") as source, connection.makefile("wb") as sink:
                    n_lines, n_refused = service.serve(source, sink)
                print(f"live: {n_lines} lines from {peer}, {n_refused} refused", file=sys.stderr, flush=True)
            except OSError as error:
                print(f"live: lost {peer} ({error}); waiting for it to come back", file=sys.stderr, flush=True)


def _address(source: str) -> tuple[str, int]:
    """Host and port of a source that is not standard input."""
    host, _, port = source.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise AuraError(f"source={source}; allowed are - for standard input, or HOST:PORT such as 127.0.0.1:7011")
    return host, int(port)


@contextmanager
def _alone(key: str, path: Path) -> Iterator[None]:
    """See that no other process works on the same file at the same time."""
    try:
        with FileLock(f"{path}.lock", timeout=0):
            yield
    except Timeout as error:
        raise AuraError(f"{key}={path} is another run's at work; name another file") from error


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


def _bytes(lines: Sequence[Line]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _write(sink: BinaryIO, data: bytes) -> None:
    if data:
        sink.write(data)
        sink.flush()
