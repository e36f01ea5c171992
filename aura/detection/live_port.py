"""A TCP port at which one sender after the other is answered."""

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
from aura.detection.live import Line, encode

# Environment variable with the secret of senders from other machines.
TOKEN = "AURA_LIVE_TOKEN"  # noqa: S105
SHORTEST_TOKEN = 16
# A line of a beat has some 40 bytes.
LONGEST = 4096
# A sender without an acceptable line for so long is cut off; if another one waits, sooner.
SILENCE_S, TURN_S = 60.0, 10.0
TOKEN_WITHIN_S = 5.0
# Senders at a time: the one that is served, and those that wait.
MAX_SENDERS = 64
# Connections at a time that have not given the token. The oldest is dropped for a new one: a sender gives the token
# at once, so that a crowd of silent connections cannot shut it out.
MAX_STRANGERS = 256
# After the last words the connection stays open for a moment, as unread lines would make the system discard them.
LINGER_S = 1.0


class Session(Protocol):
    """What a sender says, and what it hears."""

    n_lines: int
    n_refused: int
    # Whether the last line was not refused.
    accepted: bool

    def hello(self) -> list[Line]:
        """Lines before all others."""

    def answer(self, text: str) -> list[Line]:
        """Lines that answer a line."""

    def end(self) -> list[Line]:
        """Lines when no other line comes."""


class _RejectedError(Exception):
    """Ends a connection with a last line."""


def check_source(source: str) -> tuple[str, int]:
    """Host and port of a source that is not standard input.

    Raises
    ------
    AuraError
        For what is no address.
    """
    host, _, port = source.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise AuraError(f"source={source}; allowed are - for standard input, or HOST:PORT such as 127.0.0.1:7011")
    return host.removeprefix("[").removesuffix("]"), int(port)


def read_token() -> str | None:
    """Secret that senders have to know; None if the environment has none.

    Raises
    ------
    AuraError
        For one that is short enough to be guessed.
    """
    token = os.environ.get(TOKEN, "").strip()
    if token and len(token) < SHORTEST_TOKEN:
        raise AuraError(f"{TOKEN} has {len(token)} characters; allowed are {SHORTEST_TOKEN} or more")
    return token or None


def open_port(source: str, token: str | None) -> socket.socket:
    """Listen at an address; without a token, only at one that no other machine can reach.

    Raises
    ------
    AuraError
        For an address that cannot be had, or that others could reach without a token.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(*check_source(source), type=socket.SOCK_STREAM)[0]
        if token is None and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise AuraError(
                f"source={source} can be reached from other machines; set {TOKEN} to a secret that senders know, or "
                f"listen at 127.0.0.1"
            )
        return socket.create_server(address, family=family)
    except OSError as error:
        raise AuraError(f"source={source}: nobody can be waited for there: {error.strerror}") from error


def listen(server: socket.socket, token: str | None, open_session: Callable[[], Session]) -> None:
    """Answer one sender after the other, for ever.

    Raises
    ------
    AuraError
        If what is known cannot be kept.
    """
    asyncio.run(_serve(server, token, open_session))


async def _serve(server: socket.socket, token: str | None, open_session: Callable[[], Session]) -> None:
    failure = asyncio.get_running_loop().create_future()
    senders = _Senders(token, open_session, failure)
    async with await asyncio.start_server(senders.greet, sock=server, limit=LONGEST):
        host, port, *_ = server.getsockname()
        _say(f"waits at {host}:{port}")
        await failure


class _Senders:
    """Connections, of which one at a time is served."""

    def __init__(self, token: str | None, open_session: Callable[[], Session], failure: asyncio.Future[None]) -> None:
        self._token, self._open_session, self._failure = token, open_session, failure
        # Connections that have not given the token, the oldest first, and those that have.
        self._strangers: dict[asyncio.Task[None], None] = {}
        self._known: set[asyncio.Task[None]] = set()
        # The connection that is served, and when it last sent an acceptable line.
        self._served: asyncio.Task[None] | None = None
        self._heard_s = 0.0

    def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection, and drop the oldest that has not given the token if there are too many."""
        if len(self._strangers) >= MAX_STRANGERS:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        task = asyncio.create_task(self._talk(reader, writer))
        self._strangers[task] = None
        task.add_done_callback(partial(self._end, writer))

    def _end(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        # Here, as a task that is cancelled before its first step runs no `finally` of its own.
        writer.close()
        self._strangers.pop(task, None)
        self._known.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)

    def _admit(self) -> None:
        """Give the connection of this task a place among the senders."""
        if len(self._known) >= MAX_SENDERS:
            raise _RejectedError(f"{MAX_SENDERS} senders are connected; no more are taken")
        task = asyncio.current_task()
        assert task is not None
        del self._strangers[task]
        self._known.add(task)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, from its token to its end."""
        peer = (writer.get_extra_info("peername") or ("somebody who has gone",))[0]
        try:
            try:
                if self._token is not None:
                    await _check_token(reader, self._token)
                self._admit()
                await self._turn()
                await self._answer(reader, writer, str(peer))
            except _RejectedError as rejected:
                _say(f"{peer} is refused: {rejected}")
                await _part(reader, writer, str(rejected))
        except TimeoutError:
            _say(f"lost {peer} (it was silent); waiting for it to come back")
        except OSError as error:
            _say(f"lost {peer} ({error}); waiting for it to come back")
        finally:
            if self._served is asyncio.current_task():
                self._served = None

    async def _turn(self) -> None:
        """Wait until no other connection is served, or the one that is has been silent."""
        now_s = asyncio.get_running_loop().time
        while self._served is not None:
            rest_s = self._heard_s + TURN_S - now_s()
            if rest_s <= 0:
                _say(f"the sender has been silent for {TURN_S:g} s and another one waits; it gets the place")
                self._served.cancel()
            await asyncio.wait({self._served}, timeout=max(rest_s, 0.0) or None)
        self._served, self._heard_s = asyncio.current_task(), now_s()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        """Answer line by line."""
        now_s = asyncio.get_running_loop().time
        session = self._open_session()
        # Lines are counted as the sender counts them.
        session.n_lines = 0 if self._token is None else 1
        await _send(writer, session.hello())
        while True:
            async with asyncio.timeout_at(self._heard_s + SILENCE_S):
                text = await _read_line(reader)
            if text is None:
                break
            answer = session.answer(text)
            async with asyncio.timeout(SILENCE_S):
                await _send(writer, answer)
            if session.accepted:
                self._heard_s = now_s()
        await _send(writer, session.end())
        _say(f"{session.n_lines} lines from {peer}, {session.n_refused} refused")


async def _check_token(reader: asyncio.StreamReader, token: str) -> None:
    """Refuse a connection that does not begin with the token."""
    async with asyncio.timeout(TOKEN_WITHIN_S):
        text = await _read_line(reader)
    try:
        given = json.loads(text or "")
    except (ValueError, RecursionError):
        given = None
    said = given.get("token") if isinstance(given, dict) else None
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(errors="surrogatepass"), token.encode()):
        raise _RejectedError('the first line has to be {"token": "..."} with the token of this port')


async def _read_line(reader: asyncio.StreamReader) -> str | None:
    """Read the next line with something in it; None at the end."""
    while True:
        try:
            line = await reader.readline()
        except ValueError as error:
            raise _RejectedError(f"a line is longer than {LONGEST} bytes") from error
        if not line:
            return None
        if line.strip():
            return line.decode("utf-8", errors="replace")


async def _send(writer: asyncio.StreamWriter, lines: Sequence[Line]) -> None:
    if lines:
        writer.write(encode(lines))
        await writer.drain()


async def _part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: str) -> None:
    """Say why a connection ends, and let that arrive."""
    await _send(writer, [{"kind": "refused", "message": message}])
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while await reader.read(LONGEST):
                pass


def _say(message: str) -> None:
    print(f"live: {message}", file=sys.stderr, flush=True)
