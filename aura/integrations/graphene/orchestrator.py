"""Run a pipeline without Graphene: ``python -m aura.integrations.graphene.orchestrator``.

The orchestrator requests a message from the databroker, passes it from node to node, and repeats this until the end of
the data.
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
from aura.core.wording import counted
from aura.execution.signals import INTERRUPTED, TERMINATED, Terminated, terminate
from aura.integrations.graphene.proto import NODES, proto_path, read_node

# Status codes for the end of the data in the container specification of AI4EU Experiments.
END_OF_DATA = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE)
READY_WITHIN_S, ENDS_WITHIN_S = 120, 10


def main(argv: Sequence[str]) -> int:
    """Run the pipeline once, and print the result.

    Returns
    -------
    int
        Exit code: 0 if a model was trained, 1 after a failure, 2 for wrong arguments, 130 after an interrupt, 143 after
        SIGTERM.
    """
    parser = argparse.ArgumentParser(
        prog="python -m aura.integrations.graphene.orchestrator", description="Pass messages between the three nodes."
    )
    nodes = parser.add_mutually_exclusive_group(required=True)
    nodes.add_argument("--processes", action="store_true", help="start the nodes as processes, and end them")
    nodes.add_argument("--hosts", nargs=3, metavar="HOST:PORT", help=f"addresses of running nodes: {', '.join(NODES)}")
    parser.add_argument("--batch", help=f"with --processes: recordings per message of {NODES[0]}")
    parser.add_argument(
        "words", nargs="*", metavar="key=value", help="with --processes: overrides of the configuration"
    )
    arguments = parser.parse_intermixed_args(argv)
    if arguments.hosts and (arguments.words or arguments.batch):
        parser.error("key=value and --batch need --processes; running nodes have their configuration already")
    try:
        if arguments.hosts:
            status = pass_messages(arguments.hosts)
        else:
            with start_nodes(arguments.words, batch=arguments.batch) as addresses:
                status = pass_messages(addresses)
        print(_summarize(status))
    except AuraError as error:
        print(f"aura orchestrator: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print("aura orchestrator: stopped; run it again to continue", file=sys.stderr)
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    return 0


@contextmanager
def start_nodes(words: Sequence[str], *, batch: str | None) -> Iterator[list[str]]:
    """Start the nodes as processes on free local ports, yield their addresses, and end them.

    Parameters
    ----------
    words
        Overrides of the configuration, the same for all nodes.
    batch
        Recordings per message; None for the default of the databroker.
    """
    addresses, running = [], list[subprocess.Popen[bytes]]()
    try:
        for name in NODES:
            addresses.append(f"127.0.0.1:{_find_free_port()}")
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
    """Pass messages from node to node, unchanged, until the end of the data.

    Parameters
    ----------
    addresses
        Addresses of the nodes, in the order of the pipeline.

    Returns
    -------
    Any
        The last message of the last node.

    Raises
    ------
    AuraError
        If a node cannot be reached or fails, or if no model was trained at the end of the data.
    """
    nodes = [read_node(proto_path(name)) for name in NODES]
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
                    raise AuraError(f"{name} reported the end of the data; only {NODES[0]} may")
                _print_progress(name, node.reply.FromString(message))
            status = nodes[-1].reply.FromString(message)
    if status.state != "trained":
        raise AuraError(
            f"the data ended, but {NODES[-1]} received only {status.batches} of {status.count} batches; run it again"
        )
    return status


def _call(name: str, call: Any, message: bytes) -> bytes | None:
    """Call a node and return its reply; None at the end of the data."""
    try:
        reply: bytes = call(message)
    except grpc.RpcError as error:
        if error.code() in END_OF_DATA:
            return None
        raise AuraError(f"{name} answered {error.code().name}: {error.details()}") from error
    return reply


def _print_progress(name: str, reply: Any) -> None:
    """Print the progress that the reply of a node reports."""
    if name == NODES[1]:
        batch = f"batch {reply.number} of {reply.count}: {counted(len(reply.recordings), 'recording')} with features"
        failures = (f"  failed, {failure.reason}: {failure.text}" for failure in reply.failures)
        print(batch, *failures, sep="\n", flush=True)


def _summarize(status: Any) -> str:
    """Describe the trained model in one line."""
    return (
        f"trained: run {status.run_id}, model {status.model or 'not registered'} {status.version}, "
        f"of {counted(status.recordings, 'recording')} ({counted(status.failures, 'file')} failed); "
        f"event F1 {status.event_f1:.3f}, sensitivity {100 * status.event_sensitivity:.1f} %, "
        f"{status.false_alarms_per_24h:.1f} false alarms per 24 h"
    )


def _wait(name: str, address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a node answers; raise if it ends or takes too long."""
    until_s = time.monotonic() + READY_WITHIN_S
    with grpc.insecure_channel(address) as channel:
        while not _is_ready(channel, 0.2):
            if process.poll() is not None:
                raise AuraError(f"{name} ended with exit code {process.returncode}")
            if time.monotonic() > until_s:
                raise AuraError(f"{name} was not ready within {READY_WITHIN_S} s")


def _is_ready(channel: Any, within_s: float) -> bool:
    """Return whether a server answers a method that it does not have, which occupies none of its workers."""
    try:
        channel.unary_unary("/aura.Node/Ready")(b"", timeout=within_s, wait_for_ready=True)
    except grpc.RpcError as error:
        return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return True


def _find_free_port() -> int:
    """Return a local port that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main(sys.argv[1:]))
