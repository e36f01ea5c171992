"""A TCP port that serves one sender at a time."""

import asyncio
import hmac
import ipaddress
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.detection.live import Line, encode

# Environment variable with the secret that senders from other machines must know.
TOKEN = "AURA_LIVE_TOKEN"  # noqa: S105
MIN_TOKEN_LENGTH = 16
# A line with a beat has about 40 bytes.
MAX_LINE_BYTES = 4096
# A sender that sends no acceptable line for this long is disconnected: if no other sender waits, and if one does.
MAX_SILENCE_S, MAX_SILENCE_IF_QUEUED_S = 60.0, 10.0
TOKEN_TIMEOUT_S = 5.0
# Connected senders: the one that is served, and those that wait.
MAX_SENDERS = 64
# Connections that have not sent the token yet. A new one replaces the oldest. A sender sends the token at once, so many
# silent connections cannot shut it out.
MAX_STRANGERS = 256
# The connection stays open briefly after the last line. With unread input, the system would discard that line.
LINGER_S = 1.0


class Session(Protocol):
    """The answers to one sender."""

    n_lines: int
    n_refused: int
    # Whether the last line was accepted.
    accepted: bool

    def hello(self) -> list[Line]:
        """Return the first lines."""

    def answer(self, text: str) -> list[Line]:
        """Return the answer to a line."""

    def end(self) -> list[Line]:
        """Return the last lines, when no more input follows."""


class _RejectedError(Exception):
    """A connection is closed, with its message as the last line."""


def parse_source(source: str) -> tuple[str, int]:
    """Parse a source that is not standard input into host and port.

    Raises
    ------
    AuraError
        If the source is not an address.
    """
    host, _, port = source.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise AuraError(f"source={source}; allowed are - for standard input, or HOST:PORT such as 127.0.0.1:7011")
    return host.removeprefix("[").removesuffix("]"), int(port)


def read_token() -> str | None:
    """Read the secret that senders must know; None if the environment has none.

    Raises
    ------
    AuraError
        If the secret is short enough to be guessed.
    """
    token = os.environ.get(TOKEN, "").strip()
    if token and len(token) < MIN_TOKEN_LENGTH:
        raise AuraError(f"{TOKEN} has {len(token)} characters; allowed are {MIN_TOKEN_LENGTH} or more")
    return token or None


def open_port(source: str, token: str | None) -> socket.socket:
    """Open an address for listening; without a token, only one that no other machine can reach.

    Raises
    ------
    AuraError
        If the address cannot be opened, or other machines could reach it without a token.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(*parse_source(source), type=socket.SOCK_STREAM)[0]
        if token is None and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise AuraError(
                f"source={source} can be reached from other machines; set {TOKEN} to a secret that senders know, or "
                f"listen on 127.0.0.1"
            )
        return socket.create_server(address, family=family)
    except OSError as error:
        raise AuraError(f"source={source} cannot be opened for listening: {error.strerror}") from error


def listen(server: socket.socket, token: str | None, open_session: Callable[[], Session]) -> None:
    """Serve one sender after another, without end.

    Raises
    ------
    AuraError
        If the state or the output cannot be written.
    """
    asyncio.run(_serve(server, token, open_session))


async def _serve(server: socket.socket, token: str | None, open_session: Callable[[], Session]) -> None:
    failure = asyncio.get_running_loop().create_future()
    senders = _Senders(token, open_session, failure)
    async with await asyncio.start_server(senders.accept, sock=server, limit=MAX_LINE_BYTES):
        host, port, *_ = server.getsockname()
        _log(f"listening on {host}:{port}")
        await failure


class _Senders:
    """The connections of a port, of which one at a time is served."""

    def __init__(self, token: str | None, open_session: Callable[[], Session], failure: asyncio.Future[None]) -> None:
        self._token, self._open_session, self._failure = token, open_session, failure
        # Connections that have not sent the token, oldest first, and connections that have.
        self._strangers: dict[asyncio.Task[None], None] = {}
        self._senders: set[asyncio.Task[None]] = set()
        # The connection that is served, and when it sent its last acceptable line.
        self._served: asyncio.Task[None] | None = None
        self._heard_s = 0.0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept a connection; if too many have not sent the token, drop the oldest of these."""
        if len(self._strangers) >= MAX_STRANGERS:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        task = asyncio.create_task(self._serve_connection(reader, writer))
        self._strangers[task] = None
        task.add_done_callback(partial(self._clean_up, writer))

    def _clean_up(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        # Not in a `finally` of the task: a task that is cancelled before its first step does not run it.
        writer.close()
        self._strangers.pop(task, None)
        self._senders.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)

    def _admit(self) -> None:
        """Make the connection of this task a sender."""
        if len(self._senders) >= MAX_SENDERS:
            raise _RejectedError(f"{MAX_SENDERS} senders are connected; no more are accepted")
        task = asyncio.current_task()
        assert task is not None
        del self._strangers[task]
        self._senders.add(task)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, from its token to its end."""
        peer = (writer.get_extra_info("peername") or ("a closed connection",))[0]
        try:
            try:
                if self._token is not None:
                    await _check_token(reader, self._token)
                self._admit()
                await self._wait_for_turn()
                await self._answer(reader, writer, str(peer))
            except _RejectedError as rejected:
                _log(f"{peer} is refused: {rejected}")
                await _close(reader, writer, str(rejected))
        except TimeoutError:
            _log(f"lost {peer} (it was silent); waiting for a new connection")
        except OSError as error:
            _log(f"lost {peer} ({error}); waiting for a new connection")
        finally:
            if self._served is asyncio.current_task():
                self._served = None

    async def _wait_for_turn(self) -> None:
        """Wait until no other connection is served; a served connection that is silent is cut off."""
        now_s = asyncio.get_running_loop().time
        while self._served is not None:
            remaining_s = self._heard_s + MAX_SILENCE_IF_QUEUED_S - now_s()
            if remaining_s <= 0:
                _log(f"the sender was silent for {MAX_SILENCE_IF_QUEUED_S:g} s; the next one is served")
                self._served.cancel()
            await asyncio.wait({self._served}, timeout=max(remaining_s, 0.0) or None)
        self._served, self._heard_s = asyncio.current_task(), now_s()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        """Answer the lines of a sender."""
        now_s = asyncio.get_running_loop().time
        session = self._open_session()
        # Number lines as the sender does: the line with the token counts.
        session.n_lines = 0 if self._token is None else 1
        await _send(writer, session.hello())
        while True:
            async with asyncio.timeout_at(self._heard_s + MAX_SILENCE_S):
                text = await _read_line(reader)
            if text is None:
                break
            answer = session.answer(text)
            async with asyncio.timeout(MAX_SILENCE_S):
                await _send(writer, answer)
            if session.accepted:
                self._heard_s = now_s()
        await _send(writer, session.end())
        _log(f"{counted(session.n_lines, 'line')} from {peer}, {session.n_refused} refused")


async def _check_token(reader: asyncio.StreamReader, token: str) -> None:
    """Reject a connection whose first line is not the token."""
    async with asyncio.timeout(TOKEN_TIMEOUT_S):
        text = await _read_line(reader)
    try:
        first = json.loads(text or "")
    except (ValueError, RecursionError):
        first = None
    sent = first.get("token") if isinstance(first, dict) else None
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(errors="surrogatepass"), token.encode()):
        raise _RejectedError('the first line must be {"token": "..."} with the token of this port')


async def _read_line(reader: asyncio.StreamReader) -> str | None:
    """Read the next line that is not empty; None at the end."""
    while True:
        try:
            line = await reader.readline()
        except ValueError as error:
            raise _RejectedError(f"a line is longer than {MAX_LINE_BYTES} bytes") from error
        if not line:
            return None
        if line.strip():
            return line.decode("utf-8", errors="replace")


async def _send(writer: asyncio.StreamWriter, lines: Sequence[Line]) -> None:
    if lines:
        writer.write(encode(lines))
        await writer.drain()


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: str) -> None:
    """Send the reason why a connection ends, and wait briefly for it to arrive."""
    await _send(writer, [{"kind": "refused", "message": message}])
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while await reader.read(MAX_LINE_BYTES):
                pass


def _log(message: str) -> None:
    print(f"live: {message}", file=sys.stderr, flush=True)
