"""``python -m aura.integrations.graphene.serve NODE [key=value ...]``: one node as a gRPC server.

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
from aura.integrations.graphene.messages import EndOfDataError, RequestError, Work, below
from aura.integrations.graphene.proto import NODES, proto_of, read_node
from aura.processing.bookkeeping import UNEXPECTED

SHARED = "SHARED_FOLDER_PATH"
# Below it.
RECORDINGS, WORKSPACE, TRACKING = "data", "workspace", "mlflow.db"
# The port of the container specification of AI4EU Experiments; containers say that others may reach it.
LISTEN = "127.0.0.1:8061"
BATCH, MAX_BATCH = 64, 1_000
# Calls that wait for their turn; each is a thread.
WAITING = 16

# A message, its answer to be filled in, and who waits for that.
Turns = SimpleQueue[tuple[Any, Any, "Future[None]"]]


def main(argv: Sequence[str]) -> int:
    """Serve a node until somebody asks it to end.

    Returns
    -------
    int
        As of the stages: 1 when it could not, 2 when it was asked for in a way it does not know, 130 when it was
        interrupted, 143 when it was asked to end.
    """
    asked = _parser().parse_intermixed_args(argv)
    turns: Turns = SimpleQueue()
    try:
        try:
            config, work = _work(asked.node, asked.batch, asked.words)
        except AuraError as error:
            return _say(asked.node, str(error), 2)
        # It ends when nobody holds it any more.
        server, port = _server(asked.node, asked.listen, turns, config)
        server.start()
        print(f"{asked.node}: listening on port {port}", flush=True)
        while True:
            request, reply, future = turns.get()
            # Whoever has gone meanwhile is not served: the databroker would lose a batch.
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
    """Configuration of a node, by its environment and its words, and what it does."""
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
    # Each alone, as the databroker needs none of what the others load for seconds.
    if name == NODES[0]:
        from aura.integrations.graphene.edf_databroker import Databroker

        return config, Databroker(config, shared, batch=batch or BATCH)
    if name == NODES[1]:
        from aura.integrations.graphene.aura_data_process import DataProcess

        return config, DataProcess(config, shared)
    from aura.integrations.graphene.aura_ml_trainer import Trainer

    return config, Trainer(config, shared)


def _check(config: Config, shared: Path) -> None:
    """Refuse what cannot be shared with other nodes."""
    if config.partition is not None or config.dataset.edf is not None:
        raise AuraError("partition and dataset.edf are not for nodes: the databroker says which recordings")
    below(config.dataset.root, shared)
    below(features_folder(config), shared)


def _server(name: str, address: str, turns: Turns, config: Config) -> tuple[grpc.Server, int]:
    """Give a server whose threads have calls wait for their turn, and its port."""
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
    # Two nodes could listen on the same port otherwise, and get the calls by turns.
    server = grpc.server(ThreadPoolExecutor(WAITING), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(node.service, {node.method: method})])
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise AuraError(f"--listen {address}: it cannot listen there; perhaps another one does") from error
    return server, port


def _answer(work: Work, request: Any, reply: Any, future: "Future[None]") -> None:
    """Do the work of one call, and say how it went."""
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
    """What gRPC says of an error, and as much of its sentence as may leave this node."""
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
            # What is wrong with a request is of the request itself.
            return code, str(error) if isinstance(error, RequestError) else public_error(error, config)
    return grpc.StatusCode.INTERNAL, f"{type(error).__name__}, which is a fault of Aura's; the node's log has more"


def _say(name: str, message: str, code: int) -> int:
    print(f"aura {name}: {message}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    # Not waiting for threads of gRPC whose callers wait for an answer.
    os._exit(ended)
