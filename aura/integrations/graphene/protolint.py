"""``python -m aura.integrations.graphene.protolint [FILE ...]``: check ``model.proto`` by the rules of AI4EU.

Some rules exist because the platform reads the files line by line, and copies the messages and services of a pipeline
into one file.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from aura.core.errors import AuraError
from aura.integrations.graphene.proto import FILE, NODES, parse_proto, proto_path

EMPTY = "Empty"
LICENSE = "license.json"
# Keys that a licence profile needs: https://docs.acumos.org/en/clio/submodules/license-manager/docs/
LICENSE_KEYS = ("keyword", "licenseName", "copyright", "softwareType", "companyName", "contact", "rtuRequired")
COPYRIGHT_KEYS, CONTACT_KEYS = ("year", "company", "suffix"), ("name", "URL", "email")


def main(argv: Sequence[str]) -> int:
    """Check files, or those of the three nodes, and print their faults.

    Parameters
    ----------
    argv
        Paths of files, in the order of the pipeline.

    Returns
    -------
    int
        0 without faults, 1 otherwise.
    """
    faults = lint([Path(word) for word in argv] or [proto_path(name) for name in NODES])
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


def lint(paths: Sequence[Path]) -> list[str]:
    """Return the faults of the files of a pipeline, of each file and between files.

    Parameters
    ----------
    paths
        Files in the order of the pipeline.

    Returns
    -------
    list of str
        One sentence per fault.
    """
    faults, parsed = [], dict[Path, FileDescriptorProto]()
    for path in paths:
        if not path.is_file():
            faults.append(f"{path}: the file does not exist")
            continue
        own_faults = list[str]()
        try:
            own_faults += check_text(path.read_text(encoding="utf-8"))
            parsed[path] = parse_proto(path)
            own_faults += check_messages(parsed[path])
        except (AuraError, OSError, UnicodeDecodeError) as error:
            own_faults.append(str(error))
        faults += [f"{path}: {fault}" for fault in (*own_faults, *check_folder(path))]
    return [*faults, *check_pipeline(parsed)] if len(parsed) == len(paths) else faults


def check_messages(file: FileDescriptorProto) -> Iterator[str]:
    """Yield the faults of the services and messages of a file."""
    if file.package:
        yield f"has the package {file.package}; none is allowed"
    for dependency in file.dependency:
        yield f"imports {dependency}; copy what it needs instead"
    if len(file.service) != 1:
        yield f"has {len(file.service)} services; exactly one is allowed"
    for service in file.service:
        if not service.method:
            yield f"service {service.name} has no rpc"
    for enum in file.enum_type:
        yield f"has the enum {enum.name}; none is allowed"
    for message in file.message_type:
        yield from _check_message(message)


def _check_message(message: DescriptorProto) -> Iterator[str]:
    """Yield the faults of a message."""
    for enum in message.enum_type:
        yield f"has the enum {message.name}.{enum.name}; none is allowed"
    # A map is a nested message too.
    for inner in message.nested_type:
        yield f"message {message.name} has the nested message {inner.name}; none is allowed"
    if message.oneof_decl:
        yield f"message {message.name} has a oneof; the platform would read its closing brace as the end of the message"
    if message.name == EMPTY and message.field:
        yield f"message {EMPTY} has fields"


def check_text(text: str) -> Iterator[str]:
    """Yield the lines that the platform would misread, since it recognizes a line by its first word."""
    lines = text.splitlines()
    if 'syntax = "proto3";' not in lines:
        yield 'has no line syntax = "proto3";'
    for number, line in enumerate(lines, start=1):
        code = line.partition("//")[0].strip()
        if "/*" in code:
            yield f"line {number}: only comments with // are allowed"
        if "}" in code and code != "}":
            yield f"line {number}: a closing brace has to be on its own line"
        if re.match(r"(message|service)\b", code) and not code.endswith("{"):
            yield f"line {number}: an opening brace has to end the line of its {code.split()[0]}"
        if re.match(r"rpc\b", code) and not re.fullmatch(r"rpc \w+ ?\(.*\) ?returns ?\(.*\);", code):
            yield f"line {number}: an rpc has to be on one line, as in rpc NAME(REQUEST) returns(REPLY);"
        if code and "//" in line:
            yield f"line {number}: a comment has to be on its own line, since the platform drops the line with it"
        word = re.search(r"message|service|rpc", code)
        if word and not re.match(r"(message|service|rpc)\b", code):
            yield f"line {number}: the platform would read the word {word[0]} in it as a declaration"


def check_folder(path: Path) -> Iterator[str]:
    """Yield the faults of the name of a file, and of the licence profile beside it."""
    if path.name != FILE:
        yield f"has to be named {FILE}"
    profile = path.with_name(LICENSE)
    try:
        values = json.loads(profile.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield f"there is no {LICENSE} beside it"
        return
    except ValueError as error:
        yield f"the {LICENSE} beside it is not valid JSON: {error}"
        return
    for keys, name in ((LICENSE_KEYS, ""), (COPYRIGHT_KEYS, "copyright"), (CONTACT_KEYS, "contact")):
        part = values.get(name) if name and isinstance(values, dict) else values
        missing = [key for key in keys if not isinstance(part, dict) or key not in part]
        if missing:
            yield f"the {LICENSE} beside it lacks {', '.join(f'{name}.{key}'.lstrip('.') for key in missing)}"


def check_pipeline(files: dict[Path, FileDescriptorProto]) -> Iterator[str]:
    """Yield the faults between files: a node has to take the message that the previous node returns."""
    messages, names = dict[str, tuple[Path, DescriptorProto]](), dict[str, Path]()
    for path, file in files.items():
        for message in file.message_type:
            first_path, first = messages.setdefault(message.name, (path, message))
            if message != first:
                yield f"{path}: message {message.name} differs from that in {first_path}"
        for name in (item.name for service in file.service for item in (service, *service.method)):
            if names.setdefault(name, path) != path:
                yield f"{path}: {name} is also the name of a service or rpc in {names[name]}"
    edges = [(path, service.method[0]) for path, file in files.items() for service in file.service if service.method]
    expected = EMPTY
    for path, method in edges if len(files) > 1 else ():
        takes = method.input_type.lstrip(".")
        if takes != expected:
            reason = "it is the first node" if expected == EMPTY else "the previous node returns it"
            yield f"{path}: {method.name} takes {takes}, but has to take {expected}: {reason}"
        expected = method.output_type.lstrip(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
