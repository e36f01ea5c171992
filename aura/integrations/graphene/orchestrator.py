"""``python -m aura.integrations.graphene.orchestrator``: the orchestrator of Graphene, on one machine.

It asks the databroker for a message, hands it on from node to node, and does so again until the end of the data.
"""

import argparse
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc

from aura.core.errors import AuraError
from aura.execution.signals import INTERRUPTED, TERMINATED, Terminated, terminate
from aura.integrations.graphene.proto import NODES, proto_of, read_node

# How a databroker says that there is no more, after the container specification of AI4EU Experiments.
END_OF_DATA = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE)
READY_WITHIN_S, ENDS_WITHIN_S = 120, 10


def main(argv: Sequence[str]) -> int:
    """Run the pipeline once, and say what became of it.

    Returns
    -------
    int
        0 when a model was trained, 1 when not, 2 when it was asked for in a way it does not know, 130 when it was
        interrupted, 143 when it was asked to end.
    """
    parser = argparse.ArgumentParser(
        prog="python -m aura.integrations.graphene.orchestrator", description="Pass the messages of the three nodes."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--processes", action="store_true", help="start the nodes here, and end them again")
    where.add_argument("--hosts", nargs=3, metavar="HOST:PORT", help=f"of nodes that run: {', '.join(NODES)}")
    parser.add_argument("--batch", help=f"with --processes: recordings at a time, of {NODES[0]}")
    parser.add_argument(
        "words", nargs="*", metavar="key=value", help="with --processes: the configuration of the nodes"
    )
    asked = parser.parse_intermixed_args(argv)
    if asked.hosts and (asked.words or asked.batch):
        parser.error("nodes that run have their configuration already; key=value and --batch go with --processes")
    try:
        if asked.hosts:
            status = pass_messages(asked.hosts)
        else:
            with processes(asked.words, batch=asked.batch) as addresses:
                status = pass_messages(addresses)
        print(_summary(status))
    except AuraError as error:
        print(f"aura orchestrator: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print("aura orchestrator: stopped; run it again to go on where it was", file=sys.stderr)
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    return 0


@contextmanager
def processes(words: Sequence[str], *, batch: str | None) -> Iterator[list[str]]:
    """Run the nodes as processes, on free ports of this machine; give their addresses.

    Parameters
    ----------
    words
        Of the configuration, the same for all.
    batch
        Recordings at a time; None leaves it to the databroker.
    """
    addresses, running = [], list[subprocess.Popen[bytes]]()
    try:
        for name in NODES:
            addresses.append(f"127.0.0.1:{_free_port()}")
            own = ["--batch", batch] if batch is not None and name == NODES[0] else []
            command = [
                sys.executable,
                "-m",
                "aura.integrations.graphene.serve",
                name,
                "--listen",
                addresses[-1],
                *own,
                *words,
            ]
            running.append(subprocess.Popen(command))
        for name, address, process in zip(NODES, addresses, running, strict=True):
            _wait(name, address, process)
        yield addresses
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def pass_messages(addresses: Sequence[str]) -> Any:
    """Pass messages until the end of the data, as they come: what is in them is for the nodes alone.

    Parameters
    ----------
    addresses
        Of the nodes, in the order of the pipeline.

    Returns
    -------
    Any
        The last message of the last node.

    Raises
    ------
    AuraError
        When a node cannot be reached or fails, or there was no model to train in the end.
    """
    nodes = [read_node(proto_of(name)) for name in NODES]
    status = nodes[-1].reply()
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(address)) for address in addresses]
        for name, address, channel in zip(NODES, addresses, channels, strict=True):
            if not _is_ready(channel, READY_WITHIN_S):
                raise AuraError(f"{name} does not answer at {address}")
        calls = [channel.unary_unary(node.address) for node, channel in zip(nodes, channels, strict=True)]
        while (message := _call(NODES[0], calls[0], b"")) is not None:
            for name, node, call in zip(NODES[1:], nodes[1:], calls[1:], strict=True):
                message = _call(name, call, message)
                if message is None:
                    raise AuraError(f"{name} says that the data end, which is for {NODES[0]} to say")
                _show(name, node.reply.FromString(message))
            status = nodes[-1].reply.FromString(message)
    if status.state != "trained":
        raise AuraError(
            f"the data ended, but {NODES[-1]} has seen {status.batches} of {status.count} batches; run it again"
        )
    return status


def _call(name: str, call: Any, message: bytes) -> bytes | None:
    """Answer of a node; None when it has no more data."""
    try:
        answer: bytes = call(message)
    except grpc.RpcError as error:
        if error.code() in END_OF_DATA:
            return None
        raise AuraError(f"{name} answered {error.code().name}: {error.details()}") from error
    return answer


def _show(name: str, answer: Any) -> None:
    """Say how far it is."""
    if name == NODES[1]:
        what = f"batch {answer.number} of {answer.count}: {len(answer.recordings)} recordings with features"
        print(what, *(f"  failed, {one.reason}: {one.text}" for one in answer.failures), sep="\n", flush=True)


def _summary(status: Any) -> str:
    return (
        f"trained: run {status.run_id}, model {status.model or 'not registered'} {status.version}, "
        f"of {status.recordings} recordings ({status.failures} files failed); event F1 {status.event_f1:.3f}, "
        f"sensitivity {100 * status.event_sensitivity:.1f} %, {status.false_alarms_per_24h:.1f} false alarms per 24 h"
    )


def _wait(name: str, address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a node listens, or has ended."""
    until_s = time.monotonic() + READY_WITHIN_S
    with grpc.insecure_channel(address) as channel:
        while not _is_ready(channel, 0.2):
            if process.poll() is not None:
                raise AuraError(f"{name} ended with exit code {process.returncode}")
            if time.monotonic() > until_s:
                raise AuraError(f"{name} was not ready within {READY_WITHIN_S} s")


def _is_ready(channel: Any, within_s: float) -> bool:
    """Whether a server answers, whatever it says: that it does not know the method takes none of its workers."""
    try:
        channel.unary_unary("/aura.Node/Ready")(b"", timeout=within_s, wait_for_ready=True)
    except grpc.RpcError as error:
        return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main(sys.argv[1:]))
