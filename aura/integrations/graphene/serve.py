"""Run one node as a gRPC server: ``python -m aura.integrations.graphene.serve NODE [key=value ...]``.

The main thread does the work, one call after the other, so that SIGTERM ends a node as it ends a stage.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc

from aura.assembly import features_folder
from aura.config.compose import compose
from aura.config.disclosure import public_error
from aura.config.schema import Config
from aura.core.errors import AuraError, OutageError
from aura.execution.signals import INTERRUPTED, TERMINATED, Terminated, terminate
from aura.integrations.graphene.messages import EndOfDataError, RequestError, Work, relative_path
from aura.integrations.graphene.proto import NODES, proto_of, read_node
from aura.processing.bookkeeping import UNEXPECTED

SHARED = "SHARED_FOLDER_PATH"
# Names below that folder.
RECORDINGS, WORKSPACE, TRACKING = "data", "workspace", "mlflow.db"
# Port of the container specification of AI4EU Experiments; containers override the address.
LISTEN = "127.0.0.1:8061"
BATCH, MAX_BATCH = 64, 1_000
# Calls that may wait for their turn; each is a thread.
WAITING = 16

# A request, its reply to be filled in, and the future that its caller waits for.
Turns = SimpleQueue[tuple[Any, Any, "Future[None]"]]


def main(argv: Sequence[str]) -> int:
    """Serve a node until somebody asks it to end.

    Returns
    -------
    int
        Exit code, as of the stages: 1 for a failure, 2 for wrong arguments, 130 after an interrupt, 143 after SIGTERM.
    """
    asked = _parser().parse_intermixed_args(argv)
    turns: Turns = SimpleQueue()
    try:
        try:
            config, work = _work(asked.node, asked.batch, asked.words)
        except AuraError as error:
            return _say(asked.node, str(error), 2)
        # The server ends when it is garbage collected.
        server, port = _server(asked.node, asked.listen, turns, config)
        server.start()
        print(f"{asked.node}: listening on port {port}", flush=True)
        while True:
            request, reply, future = turns.get()
            # A caller that has gone is not served: the databroker would lose a batch.
            if future.set_running_or_notify_cancel():
                _answer(work, request, reply, future)
    except AuraError as error:
        return _say(asked.node, str(error), 1)
    except KeyboardInterrupt as error:
        return _say(asked.node, "stopped", TERMINATED if isinstance(error, Terminated) else INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aura.integrations.graphene.serve", description="One node as a gRPC server."
    )
    parser.add_argument("node", choices=NODES)
    parser.add_argument("words", nargs="*", metavar="key=value", help="of the configuration, as for a stage")
    parser.add_argument("--listen", default=LISTEN, metavar="HOST:PORT", help=f"default {LISTEN}; port 0 is a free one")
    parser.add_argument("--batch", type=int, help=f"recordings at a time, of {NODES[0]}; default {BATCH}")
    return parser


def _work(name: str, batch: int | None, words: Sequence[str]) -> tuple[Config, Work]:
    """Build the configuration of a node from its environment and words, and its work."""
    folder = os.environ.get(SHARED, "")
    if not folder or not Path(folder).is_dir():
        raise AuraError(f"{SHARED}={folder!r} is no folder; set it to the one that the nodes share")
    shared = Path(folder).resolve()
    os.environ |= {"AURA_DATA": str(shared / RECORDINGS), "AURA_WORKSPACE": str(shared / WORKSPACE)}
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{shared / TRACKING}"
    config = compose(["dataset=any", *words])
    _check(config, shared)
    if batch is not None and (name != NODES[0] or not 1 <= batch <= MAX_BATCH):
        raise AuraError(f"--batch {batch}; allowed is 1 to {MAX_BATCH}, for {NODES[0]} alone")
    # Imported here, since the databroker does not need what the others take seconds to load.
    if name == NODES[0]:
        from aura.integrations.graphene.edf_databroker import Databroker

        return config, Databroker(config, shared, batch=batch or BATCH)
    if name == NODES[1]:
        from aura.integrations.graphene.aura_data_process import DataProcess

        return config, DataProcess(config, shared)
    from aura.integrations.graphene.aura_ml_trainer import Trainer

    return config, Trainer(config, shared)


def _check(config: Config, shared: Path) -> None:
    """Raise for settings that cannot be shared with other nodes."""
    if config.partition is not None or config.dataset.edf is not None:
        raise AuraError("partition and dataset.edf are not for nodes: the databroker says which recordings")
    relative_path(config.dataset.root, shared)
    relative_path(features_folder(config), shared)


def _server(name: str, address: str, turns: Turns, config: Config) -> tuple[grpc.Server, int]:
    """Build a server whose threads queue the calls; return it and its port."""
    node = read_node(proto_of(name))

    def handle(request: Any, context: Any) -> Any:
        reply, future = node.reply(), Future[None]()
        context.add_callback(future.cancel)
        turns.put((request, reply, future))
        wait([future])
        if future.cancelled():
            context.abort(grpc.StatusCode.CANCELLED, "nobody waits for this any more")
        error = future.exception()
        if error is not None:
            context.abort(*_status(error, config))
        return reply

    method = grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=node.request.FromString, response_serializer=node.reply.SerializeToString
    )
    # Otherwise two nodes could listen on one port, and each would get a part of the calls.
    server = grpc.server(ThreadPoolExecutor(WAITING), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(node.service, {node.method: method})])
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise AuraError(f"--listen {address}: it cannot listen there; perhaps another one does") from error
    return server, port


def _answer(work: Work, request: Any, reply: Any, future: "Future[None]") -> None:
    """Do the work of one call, and set the result of its future."""
    try:
        work(request, reply)
    except (EndOfDataError, AuraError, OSError) as error:
        future.set_exception(error)
    except UNEXPECTED as error:
        traceback.print_exc()
        future.set_exception(error)
    else:
        future.set_result(None)


def _status(error: BaseException, config: Config) -> tuple[grpc.StatusCode, str]:
    """Return the gRPC status of an error, and as much of its message as may leave this node."""
    if isinstance(error, EndOfDataError):
        return grpc.StatusCode.NOT_FOUND, "end of data"
    codes = {
        RequestError: grpc.StatusCode.INVALID_ARGUMENT,
        OutageError: grpc.StatusCode.UNAVAILABLE,
        AuraError: grpc.StatusCode.FAILED_PRECONDITION,
        OSError: grpc.StatusCode.FAILED_PRECONDITION,
    }
    for kind, code in codes.items():
        if isinstance(error, kind):
            # A message about a request quotes only the request.
            return code, str(error) if isinstance(error, RequestError) else public_error(error, config)
    return grpc.StatusCode.INTERNAL, f"{type(error).__name__}, which is a fault of Aura's; the node's log has more"


def _say(name: str, message: str, code: int) -> int:
    print(f"aura {name}: {message}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    # Do not wait for gRPC threads whose callers wait for a reply.
    os._exit(ended)
