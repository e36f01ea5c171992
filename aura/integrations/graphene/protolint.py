"""``python -m aura.integrations.graphene.protolint [FILE ...]``: check ``model.proto`` by the rules of AI4EU.

The platform reads the files line by line, and copies the messages and services of a pipeline into one file; some rules
are there for that.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from aura.core.errors import AuraError
from aura.integrations.graphene.proto import FILE, NODES, describe, proto_of

EMPTY = "Empty"
LICENSE = "license.json"
# What a profile of a licence has to say: https://docs.acumos.org/en/clio/submodules/license-manager/docs/
LICENSE_SAYS = ("keyword", "licenseName", "copyright", "softwareType", "companyName", "contact", "rtuRequired")
COPYRIGHT_SAYS, CONTACT_SAYS = ("year", "company", "suffix"), ("name", "URL", "email")


def main(argv: Sequence[str]) -> int:
    """Lint files, or those of the three nodes, and say what is wrong.

    Parameters
    ----------
    argv
        Paths of files, in the order of the pipeline.

    Returns
    -------
    int
        0 when all is well, 1 when not.
    """
    faults = lint([Path(word) for word in argv] or [proto_of(name) for name in NODES])
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


def lint(paths: Sequence[Path]) -> list[str]:
    """Find what is wrong with the files of a pipeline, in its order, each by itself and beside the others.

    Returns
    -------
    list of str
        A sentence each.
    """
    faults, read = [], dict[Path, FileDescriptorProto]()
    for path in paths:
        if not path.is_file():
            faults.append(f"{path}: there is no such file")
            continue
        found = list[str]()
        try:
            found += of_text(path.read_text(encoding="utf-8"))
            read[path] = describe(path)
            found += of_file(read[path])
        except (AuraError, OSError, UnicodeDecodeError) as error:
            found.append(str(error))
        faults += [f"{path}: {fault}" for fault in (*found, *of_folder(path))]
    return [*faults, *of_pipeline(read)] if len(read) == len(paths) else faults


def of_file(file: FileDescriptorProto) -> Iterator[str]:
    """Find what is wrong with a file, as protoc understands it."""
    if file.package:
        yield f"has the package {file.package}; none is allowed"
    for dependency in file.dependency:
        yield f"imports {dependency}; copy what it needs instead"
    if len(file.service) != 1:
        yield f"has {len(file.service)} services; it has to have one"
    for service in file.service:
        if not service.method:
            yield f"service {service.name} has no rpc"
    for enum in file.enum_type:
        yield f"has the enum {enum.name}; none is allowed"
    for message in file.message_type:
        yield from _of_message(message)


def _of_message(message: DescriptorProto) -> Iterator[str]:
    for enum in message.enum_type:
        yield f"has the enum {message.name}.{enum.name}; none is allowed"
    # A map is a message within another one as well.
    for inner in message.nested_type:
        yield f"message {message.name} has {inner.name} within it; only messages beside each other are allowed"
    if message.oneof_decl:
        yield f"message {message.name} has a oneof, whose brace the platform takes for the end of the message"
    if message.name == EMPTY and message.field:
        yield f"message {EMPTY} has fields"


def of_text(text: str) -> Iterator[str]:
    """Find what the platform would misread, which takes lines for what they begin with."""
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
            yield f"line {number}: an rpc has to be on one line, as in rpc NAME(TAKES) returns(GIVES);"
        if code and "//" in line:
            yield f"line {number}: a comment has to be on its own line, as the platform leaves out the whole"
        word = re.search(r"message|service|rpc", code)
        if word and not re.match(r"(message|service|rpc)\b", code):
            yield f"line {number}: the platform would take the {word[0]} in it for one"


def of_folder(path: Path) -> Iterator[str]:
    """Find what is wrong with the name of a file and with what belongs beside it."""
    if path.name != FILE:
        yield f"has to be called {FILE}"
    profile = path.with_name(LICENSE)
    try:
        told = json.loads(profile.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield f"there is no {LICENSE} beside it"
        return
    except ValueError as error:
        yield f"the {LICENSE} beside it is no JSON: {error}"
        return
    for keys, name in ((LICENSE_SAYS, ""), (COPYRIGHT_SAYS, "copyright"), (CONTACT_SAYS, "contact")):
        part = told.get(name) if name and isinstance(told, dict) else told
        missing = [key for key in keys if not isinstance(part, dict) or key not in part]
        if missing:
            yield f"the {LICENSE} beside it does not say {', '.join(f'{name}.{key}'.lstrip('.') for key in missing)}"


def of_pipeline(files: dict[Path, FileDescriptorProto]) -> Iterator[str]:
    """Find what does not fit together: each node has to take what the one before it gives."""
    messages, names = dict[str, tuple[Path, DescriptorProto]](), dict[str, Path]()
    for path, file in files.items():
        for message in file.message_type:
            first, known = messages.setdefault(message.name, (path, message))
            if message != known:
                yield f"{path}: message {message.name} is not the one of {first}"
        for name in (one.name for service in file.service for one in (service, *service.method)):
            if names.setdefault(name, path) != path:
                yield f"{path}: {name} is the name of a service or rpc of {names[name]} as well"
    edges = [(path, service.method[0]) for path, file in files.items() for service in file.service if service.method]
    given = EMPTY
    for path, method in edges if len(files) > 1 else ():
        takes = method.input_type.lstrip(".")
        if takes != given:
            yield f"{path}: {method.name} takes {takes}, but has to take {given}: " + (
                "it is the first" if given == EMPTY else "the node before it gives that"
            )
        given = method.output_type.lstrip(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
