"""One sender at a time is answered at a port, and nobody keeps the place from the others."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from aura.core.errors import AuraError
from aura.detection import live_port
from aura.detection.live import Line
from aura.detection.live_port import TOKEN, listen, open_port, parse_source, read_token

SECRET = "a secret of sixteen characters"
# Longer than what a busy machine needs, and shorter than the limits.
SOON_S = 5.0


class Echo:
    """Says each line again; refuses `bad`, and ends all at `stop`."""

    def __init__(self) -> None:
        self.n_lines = self.n_refused = 0
        self.accepted = True

    def hello(self) -> list[Line]:
        return [{"kind": "ready"}]

    def answer(self, text: str) -> list[Line]:
        self.n_lines += 1
        self.accepted = text.strip() != "bad"
        if text.strip() == "stop":
            raise AuraError("stopped")
        return [{"kind": "echo", "text": text.strip(), "line": self.n_lines}]

    def end(self) -> list[Line]:
        return [{"kind": "end"}]


@contextmanager
def port(token: str | None = None) -> Iterator[int]:
    ended = list[str]()

    def serve() -> None:
        try:
            listen(server, token, Echo)
        except AuraError as error:
            ended.append(str(error))

    with open_port("127.0.0.1:0", token) as server:
        number = server.getsockname()[1]
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield number
        finally:
            with connected(number) as peer:
                say(peer, *([json.dumps({"token": token})] if token else []), "stop")
                thread.join(20)
    # An error of a session is the end of all.
    assert ended == ["stopped"]


def connected(number: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", number), timeout=20)


def say(peer: socket.socket, *texts: str) -> None:
    peer.sendall("".join(f"{text}\n" for text in texts).encode())


def hear(peer: socket.socket) -> dict[str, Any] | None:
    """Give the next line, None at the end of the connection."""
    line = b""
    while not line.endswith(b"\n"):
        byte = peer.recv(1)
        if not byte:
            return None
        line += byte
    heard: dict[str, Any] = json.loads(line)
    return heard


def test_senders_are_answered_one_after_the_other() -> None:
    with port() as number, connected(number) as first, connected(number) as second:
        assert hear(first) == {"kind": "ready"}
        say(first, "1", "", "  ", "2")
        assert [hear(first), hear(first)] == [
            {"kind": "echo", "text": "1", "line": 1},
            {"kind": "echo", "text": "2", "line": 2},
        ]
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(1)
        second.settimeout(20)
        first.shutdown(socket.SHUT_WR)
        assert hear(first) == {"kind": "end"}
        assert hear(second) == {"kind": "ready"}
        # The last line needs no end of line.
        second.sendall(b"3")
        second.shutdown(socket.SHUT_WR)
        assert [hear(second), hear(second), hear(second)] == [
            {"kind": "echo", "text": "3", "line": 1},
            {"kind": "end"},
            None,
        ]


@pytest.mark.parametrize("habit", ["silent", "drips", "blank", "rubbish"])
def test_a_sender_without_an_acceptable_line_gives_its_place_to_one_who_waits(
    habit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_port, "MAX_SILENCE_IF_QUEUED_S", 0.5)
    with port() as number, connected(number) as idle:
        assert hear(idle) == {"kind": "ready"}
        over = threading.Event()

        def keep_busy() -> None:
            text = {"silent": b"", "drips": b"x", "blank": b"\n", "rubbish": b"bad\n"}[habit]
            while not over.wait(0.1):
                try:
                    idle.sendall(text)
                except OSError:
                    return

        thread = threading.Thread(target=keep_busy)
        thread.start()
        began_s = time.monotonic()
        with connected(number) as other:
            assert hear(other) == {"kind": "ready"}
            assert 0.3 < time.monotonic() - began_s < SOON_S
            say(other, "1")
            assert hear(other) == {"kind": "echo", "text": "1", "line": 1}
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_sender_at_work_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_port, "MAX_SILENCE_IF_QUEUED_S", 2.0)
    with port() as number, connected(number) as first, connected(number) as second:
        assert hear(first) == {"kind": "ready"}
        second.settimeout(0.01)
        for i in range(30):
            say(first, str(i))
            assert hear(first) == {"kind": "echo", "text": str(i), "line": i + 1}
            with pytest.raises(TimeoutError):
                second.recv(1)
            time.sleep(0.1)


@pytest.mark.parametrize("text", [b"", b"x", b"\n", b"bad\n"])
def test_a_sender_without_an_acceptable_line_is_cut_off_in_the_end(
    text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_port, "MAX_SILENCE_S", 1.0)
    with port() as number, connected(number) as peer:
        assert hear(peer) == {"kind": "ready"}
        peer.settimeout(0.1)
        deadline, heard = time.monotonic() + SOON_S, b"?"
        while heard and time.monotonic() < deadline:
            try:
                peer.sendall(text)
                heard = peer.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                heard = b""
        assert heard == b""


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_that_is_too_long_ends_the_connection(end: bytes) -> None:
    with port() as number:
        with connected(number) as peer:
            assert hear(peer) == {"kind": "ready"}
            peer.sendall(b"1" * 5000 + end)
            assert hear(peer) == {"kind": "refused", "message": "a line is longer than 4096 bytes"}
            assert hear(peer) is None
        with connected(number) as peer:
            assert hear(peer) == {"kind": "ready"}


@pytest.mark.parametrize(
    "first",
    ['{"t_s": 1, "rr_ms": 800}', '{"token": "another"}', '{"token": ""}', '{"token": null}', '["token"]', "[" * 4000,
     '{"token": "\\ud800"}', SECRET, "x" * 5000],
)  # fmt: skip
def test_without_the_token_nothing_is_heard(first: str) -> None:
    with port(SECRET) as number, connected(number) as peer, connected(number) as other:
        say(peer, first)
        said = hear(peer)
        assert said is not None
        assert said["kind"] == "refused"
        assert SECRET not in str(said)
        assert hear(peer) is None
        say(other, json.dumps({"token": SECRET}), "1")
        # Lines are counted as the sender counts them.
        assert [hear(other), hear(other)] == [{"kind": "ready"}, {"kind": "echo", "text": "1", "line": 2}]


def test_who_does_not_know_the_token_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_port, "MAX_SILENCE_IF_QUEUED_S", 0.2)
    monkeypatch.setattr(live_port, "TOKEN_TIMEOUT_S", 1.0)
    with port(SECRET) as number, connected(number) as strange, connected(number) as peer:
        say(peer, json.dumps({"token": SECRET}))
        assert hear(peer) == {"kind": "ready"}
        # Nobody who knows it waits, so that a silent one stays.
        assert hear(strange) is None
        say(peer, "1")
        assert hear(peer) == {"kind": "echo", "text": "1", "line": 2}


def is_taken(number: int) -> bool:
    """Whether another sender with the token would be taken."""
    with connected(number) as peer:
        say(peer, json.dumps({"token": SECRET}))
        peer.settimeout(0.5)
        try:
            return hear(peer) is None
        except TimeoutError:
            return True


@pytest.mark.parametrize("n_idle", [4, 300])
def test_idle_connections_without_the_token_shut_no_sender_out(n_idle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of them is dropped for each new connection; senders at work and senders that wait stay."""
    monkeypatch.setattr(live_port, "MAX_STRANGERS", 4)
    monkeypatch.setattr(live_port, "MAX_SENDERS", 2)
    monkeypatch.setattr(live_port, "TOKEN_TIMEOUT_S", 60.0)
    with ExitStack() as opened, port(SECRET) as number:
        first, second = (opened.enter_context(connected(number)) for _ in range(2))
        say(first, json.dumps({"token": SECRET}))
        assert hear(first) == {"kind": "ready"}
        say(second, json.dumps({"token": SECRET}))
        while is_taken(number):
            # Until the second one has its place.
            time.sleep(0.1)
        idle = [opened.enter_context(connected(number)) for _ in range(n_idle)]
        say(first, "1")
        assert hear(first) == {"kind": "echo", "text": "1", "line": 2}
        first.close()
        assert hear(second) == {"kind": "ready"}
        with connected(number) as third:
            say(third, json.dumps({"token": SECRET}))
            # The oldest had to go, the newest three are still there.
            assert all(hear(one) is None for one in idle[:-3])
            second.close()
            assert hear(third) == {"kind": "ready"}
        for one in idle[-3:]:
            say(one, "x")
            refused = hear(one)
            assert refused is not None
            assert refused["kind"] == "refused"


@pytest.mark.parametrize("token", [None, SECRET])
def test_too_many_senders_are_told(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_port, "MAX_SENDERS", 2)
    hello = [json.dumps({"token": token})] if token else []
    with port(token) as number, connected(number) as first, connected(number) as second:
        say(first, *hello)
        assert hear(first) == {"kind": "ready"}
        say(second, *hello)
        with connected(number) as third:
            say(third, *hello)
            assert hear(third) == {"kind": "refused", "message": "2 senders are connected; no more are accepted"}
            assert hear(third) is None
        first.close()
        assert hear(second) == {"kind": "ready"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_without_a_token_this_machine_is_served(host: str) -> None:
    open_port(f"{host}:0", None).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "::ffff:0.0.0.0"])
def test_without_a_token_no_other_machine_is_served(host: str) -> None:
    with pytest.raises(
        AuraError, match=r"can be reached from other machines; set AURA_LIVE_TOKEN|cannot be opened for listening"
    ):
        open_port(f"{host}:0", None)


def test_with_a_token_other_machines_are_served() -> None:
    open_port("0.0.0.0:0", SECRET).close()


def test_a_token_is_long_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for nothing in ("", "  "):
        monkeypatch.setenv(TOKEN, nothing)
        assert read_token() is None
    monkeypatch.setenv(TOKEN, "guess me")
    with pytest.raises(AuraError, match="AURA_LIVE_TOKEN has 8 characters; allowed are 16 or more"):
        read_token()
    monkeypatch.setenv(TOKEN, SECRET)
    assert read_token() == SECRET


@pytest.mark.parametrize("source", ["7011", ":7011", "host:", "host:x", "host:99999", "host:-1"])
def test_an_address_is_host_and_port(source: str) -> None:
    with pytest.raises(AuraError, match="allowed are - for standard input, or HOST:PORT"):
        parse_source(source)
