"""A ``model.proto`` as its nodes use it: messages and methods are made when it is read, no code is generated."""

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

# The pipeline, in its order; a folder of each is in deploy/graphene, whose files are at the root of its image.
NODES = ("edf_databroker", "aura_data_process", "aura_ml_trainer")
FILE = "model.proto"


@dataclass(frozen=True, slots=True)
class Node:
    """The one method of a node, and the classes of its messages."""

    service: str
    method: str
    request: Any
    reply: Any

    @property
    def address(self) -> str:
        """What gRPC calls the method."""
        return f"/{self.service}/{self.method}"


def proto_of(node: str) -> Path:
    """Path of the file that says what a node takes and gives."""
    return SHIPPED / "deploy" / "graphene" / node / FILE


def read_node(path: Path) -> Node:
    """Read a file with one service of one method."""
    described = describe(path)
    # A pool of its own: the files of a pipeline define the same messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    (service,) = described.service
    (method,) = service.method
    request, reply = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name.lstrip(".")))
        for name in (method.input_type, method.output_type)
    )
    return Node(service.name, method.name, request, reply)


def describe(path: Path) -> FileDescriptorProto:
    """Have protoc read a file.

    Raises
    ------
    AuraError
        With what protoc has against it.
    """
    with TemporaryDirectory() as scratch:
        described = Path(scratch) / "described"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{path.parent}", f"--descriptor_set_out={described}"]
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
            raise AuraError(f"protoc cannot read it: {' '.join(said)}")
        (file,) = FileDescriptorSet.FromString(described.read_bytes()).file
    return file
