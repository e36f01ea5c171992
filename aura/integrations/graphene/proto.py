"""Read a ``model.proto``: message classes are made at run time, without generated code."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from aura.core.errors import AuraError
from aura.core.paths import SHIPPED

# Nodes in the order of the pipeline. The files in deploy/graphene/NODE are copied to the root of its image.
NODES = ("edf_databroker", "aura_data_process", "aura_ml_trainer")
FILE = "model.proto"


@dataclass(frozen=True, slots=True)
class Node:
    """The single method of a node, and the classes of its messages."""

    service: str
    method: str
    request: Any
    reply: Any

    @property
    def address(self) -> str:
        """Path of the method in gRPC."""
        return f"/{self.service}/{self.method}"


def proto_path(node: str) -> Path:
    """Return the path of the ``model.proto`` of a node."""
    return SHIPPED / "deploy" / "graphene" / node / FILE


def read_node(path: Path) -> Node:
    """Read the node in a file that has one service with one method."""
    described = parse_proto(path)
    # A separate pool, since the files of a pipeline define the same messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    (service,) = described.service
    (method,) = service.method
    request, reply = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name.lstrip(".")))
        for name in (method.input_type, method.output_type)
    )
    return Node(service.name, method.name, request, reply)


def parse_proto(path: Path) -> FileDescriptorProto:
    """Parse a file with protoc.

    Raises
    ------
    AuraError
        If protoc reports an error.
    """
    with TemporaryDirectory() as scratch:
        described = Path(scratch) / "described"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{path.parent}", f"--descriptor_set_out={described}"]
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
            raise AuraError(f"protoc cannot read the file: {' '.join(errors)}")
        (file,) = FileDescriptorSet.FromString(described.read_bytes()).file
    return file
