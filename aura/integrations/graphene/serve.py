"""Run a node as a gRPC server: ``python -m aura.integrations.graphene.serve NODE [key=value ...]``.

The main thread works through the calls one by one, so that SIGTERM ends a node as it ends a stage.
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
from aura.integrations.graphene.proto import NODES, proto_path, read_node
from aura.processing.bookkeeping import UNEXPECTED

SHARED = "SHARED_FOLDER_PATH"
# Names below that folder.
RECORDINGS, WORKSPACE, TRACKING = "data", "workspace", "mlflow.db"
# Port in the container specification of AI4EU Experiments; images override the address.
LISTEN = "127.0.0.1:8061"
BATCH, MAX_BATCH = 64, 1_000
# Number of calls that may wait; each occupies a thread.
MAX_WAITING = 16

# Queue of calls: a request, the reply to fill in, and the future that the caller waits for.
Calls = SimpleQueue[tuple[Any, Any, "Future[None]"]]


def main(argv: Sequence[str]) -> int:
    """Serve a node until it is interrupted.

    Returns
    -------
    int
        Exit code, as of the stages: 1 for a failure, 2 for wrong arguments, 130 after an interrupt, 143 after SIGTERM.
    """
    arguments = _build_parser().parse_intermixed_args(argv)
    calls: Calls = SimpleQueue()
    try:
        try:
            config, work = _build_work(arguments.node, arguments.batch, arguments.words)
        except AuraError as error:
            return _print_error(arguments.node, str(error), 2)
        # Keep a reference: a server that is garbage collected ends.
        server, port = _build_server(arguments.node, arguments.listen, calls, config)
        server.start()
        print(f"{arguments.node}: listening on port {port}", flush=True)
        while True:
            request, reply, future = calls.get()
            # Skip a call whose caller has gone: the databroker would lose a batch.
            if future.set_running_or_notify_cancel():
                _run_call(work, request, reply, future)
    except AuraError as error:
        return _print_error(arguments.node, str(error), 1)
    except KeyboardInterrupt as error:
        return _print_error(arguments.node, "stopped", TERMINATED if isinstance(error, Terminated) else INTERRUPTED)


def _build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m aura.integrations.graphene.serve", description="Run a node as a gRPC server."
    )
    parser.add_argument("node", choices=NODES)
    parser.add_argument("words", nargs="*", metavar="key=value", help="overrides of the configuration, as for a stage")
    parser.add_argument("--listen", default=LISTEN, metavar="HOST:PORT", help=f"default {LISTEN}; 0 is any free port")
    parser.add_argument("--batch", type=int, help=f"recordings per message of {NODES[0]}; default {BATCH}")
    return parser


def _build_work(name: str, batch: int | None, words: Sequence[str]) -> tuple[Config, Work]:
    """Build the configuration of a node from its environment and overrides, and the function that does its work."""
    folder = os.environ.get(SHARED, "")
    if not folder or not Path(folder).is_dir():
        raise AuraError(f"{SHARED}={folder!r} is not a folder; set it to the folder shared by all nodes")
    shared = Path(folder).resolve()
    os.environ |= {"AURA_DATA": str(shared / RECORDINGS), "AURA_WORKSPACE": str(shared / WORKSPACE)}
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{shared / TRACKING}"
    config = compose(["dataset=any", *words])
    _check(config, shared)
    if batch is not None and (name != NODES[0] or not 1 <= batch <= MAX_BATCH):
        raise AuraError(f"--batch {batch}; allowed is 1 to {MAX_BATCH}, for {NODES[0]} only")
    # Imported here, since the other nodes load libraries for seconds that the databroker does not need.
    if name == NODES[0]:
        from aura.integrations.graphene.edf_databroker import Databroker

        return config, Databroker(config, shared, batch=batch or BATCH)
    if name == NODES[1]:
        from aura.integrations.graphene.aura_data_process import DataProcess

        return config, DataProcess(config, shared)
    from aura.integrations.graphene.aura_ml_trainer import Trainer

    return config, Trainer(config, shared)


def _check(config: Config, shared: Path) -> None:
    """Raise for settings that do not work with several nodes."""
    if config.partition is not None or config.dataset.edf is not None:
        raise AuraError("partition and dataset.edf are not allowed: the databroker selects the recordings of a node")
    relative_path(config.dataset.root, shared)
    relative_path(features_folder(config), shared)


def _build_server(name: str, address: str, calls: Calls, config: Config) -> tuple[grpc.Server, int]:
    """Build a server whose threads queue the calls; return it and its port."""
    node = read_node(proto_path(name))

    def handle(request: Any, context: Any) -> Any:
        reply, future = node.reply(), Future[None]()
        context.add_callback(future.cancel)
        calls.put((request, reply, future))
        wait([future])
        if future.cancelled():
            context.abort(grpc.StatusCode.CANCELLED, "the caller no longer waits for this call")
        error = future.exception()
        if error is not None:
            context.abort(*_status(error, config))
        return reply

    method = grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=node.request.FromString, response_serializer=node.reply.SerializeToString
    )
    # Without so_reuseport=0, two nodes could listen on the same port, and each would get a part of the calls.
    server = grpc.server(ThreadPoolExecutor(MAX_WAITING), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(node.service, {node.method: method})])
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise AuraError(f"--listen {address}: the address cannot be used; another process may use it") from error
    return server, port


def _run_call(work: Work, request: Any, reply: Any, future: "Future[None]") -> None:
    """Do the work of a call, and set the result of its future."""
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
    """Return the gRPC status of an error, and its message without private paths."""
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
    return grpc.StatusCode.INTERNAL, f"internal error ({type(error).__name__}); see the log of the node"


def _print_error(name: str, message: str, code: int) -> int:
    """Print a message of a node, and return the exit code."""
    print(f"aura {name}: {message}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    # Exit without waiting for gRPC threads, whose callers still wait for a reply.
    os._exit(ended)
