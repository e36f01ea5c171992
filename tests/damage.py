"""Ways to damage a corpus, each from a random generator; each gives the files it touched."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Rng = np.random.Generator
TOKENS = (
    b"-1",
    b"0",
    b"1e9",
    b"nan",
    b"inf",
    b"",
    b"99999999",
    b"EDF+D",
    b"EDF+C",
    b"\xff\xfe\x00",
    b"0,5",
    b"-0",
    b"1.5.5",
)
WORDS = (
    "nan",
    "-5",
    "1e99",
    "seiz",
    "",
    "inf",
    "é",
    "10 20 seiz",
    "0x10",
    "\x00",
    "2017-01-10T14:30:00",
    "\t",
    ",,,,",
    '"',
)


def pick(rng: Rng, root: Path, *suffixes: str) -> Path:
    files = sorted(path for path in root.rglob("*") if path.name.endswith(suffixes) and path.is_file())
    return files[rng.integers(len(files))] if files else write(root / "rubbish.edf", b"")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def edf_of(rng: Rng, root: Path) -> tuple[Path, bytearray]:
    path = pick(rng, root, ".edf")
    return path, bytearray(path.read_bytes())


def annotation_of(rng: Rng, root: Path) -> Path:
    return pick(rng, root, ".tse_bi", ".tse", ".csv_bi", "_events.tsv")


def header_bytes(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    for at in rng.integers(0, min(len(content), 1000) or 1, rng.integers(1, 30)):
        content[at : at + 1] = bytes([rng.integers(256)])
    return [write(path, content)]


def header_field(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    field = TOKENS[rng.integers(len(TOKENS))].ljust(8)
    at = int(rng.choice([0, 168, 176, 184, 192, 236, 244, 252, *range(256, 1024, 8)]))
    content[at : at + 8] = field
    return [write(path, content)]


def swapped_fields(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    one, other = (int(at) * 8 for at in rng.choice(128, 2, replace=False))
    content[one : one + 8], content[other : other + 8] = content[other : other + 8], content[one : one + 8]
    return [write(path, content)]


def time_stamps(rng: Rng, root: Path) -> list[Path]:
    """Make one of the signals the clock of the data records, and some of its stamps wrong."""
    path, content = edf_of(rng, root)
    samples = bytes(content[256 + 216 * 2 :][:8]).strip()
    if content[252:256] != b"2   " or not samples.isdigit() or not int(samples):
        return [path]
    n_bytes = 2 * int(samples)
    content[192:236] = (b"EDF+D", b"EDF+C", b"edf+ d", b"")[rng.integers(4)].ljust(44)
    content[256:272] = b"EDF Annotations "
    clock_s = float(rng.choice([0, 0.5, 1e9]))
    for at in range(768, len(content) - n_bytes, 2 * n_bytes):
        clock_s += 1 + (rng.normal(0, 30) if rng.random() < 0.1 else 0)
        stamp = (f"{clock_s:+.3f}".encode() + b"\x14\x14\0", b"", b"+\x14\x14", b"+1e9\x14\x14")
        text = stamp[0 if rng.random() < 0.9 else rng.integers(4)]
        content[at : at + n_bytes] = text.ljust(n_bytes, b"\0")
    return [write(path, content)]


def units(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    words = (b"", b"mV", b"\xe6V", b".V", b"a.u.", b"bpm", b"[V]", b"\xff\xfe\x00", b"V" * 8)
    for at in (256 + 2 * 96, 256 + 2 * 96 + 8):
        content[at : at + 8] = words[rng.integers(len(words))].ljust(8)
    return [write(path, content)]


def large(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    content[236:244] = (b"-1      ", b"99999999")[rng.integers(2)]
    content[244:252] = (b"1       ", b"0.001   ", b"86400   ", b"1e-3    ")[rng.integers(4)]
    write(path, content)
    os.truncate(path, 20_000_000)
    return [path]


def truncated(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    return [write(path, content[: rng.integers(len(content) + 1)])]


def random_bytes(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    at = int(rng.integers(len(content) + 1))
    noise = rng.bytes(int(rng.integers(1, 4000)))
    content[at : at + len(noise)] = noise
    return [write(path, content)]


def longer(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    return [write(path, bytes(content) + rng.bytes(int(rng.integers(1, 50_000))))]


def constant_data(rng: Rng, root: Path) -> list[Path]:
    path, content = edf_of(rng, root)
    value = int(rng.choice([0, 32767, -32768])).to_bytes(2, "little", signed=True)
    return [write(path, bytes(content[:768]) + value * ((len(content) - 768) // 2))]


def empty(rng: Rng, root: Path) -> list[Path]:
    return [write(pick(rng, root, ".edf", ".tse_bi", ".csv_bi", "_events.tsv"), b"")]


def missing(rng: Rng, root: Path) -> list[Path]:
    path = pick(rng, root, ".edf", ".tse_bi", ".csv_bi", "_events.tsv")
    path.unlink()
    return [path]


def annotation_text(rng: Rng, root: Path) -> list[Path]:
    path = annotation_of(rng, root)
    lines = path.read_bytes().decode("latin-1").split("\n")
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(lines)))
        parts = lines[at].split()
        word = WORDS[rng.integers(len(WORDS))]
        how = rng.integers(5)
        if how == 0:
            lines[at] = word
        elif how == 1 and parts:
            parts[rng.integers(len(parts))] = word
            lines[at] = " ".join(parts)
        elif how == 2:
            lines.insert(at, lines[at] + word)
        elif how == 3 and parts:
            lines[at] = " ".join(parts[::-1])
        else:
            lines.pop(at)
        lines = lines or [""]
    return [write(path, "\n".join(lines).encode("utf-8", "surrogatepass"))]


def annotation_encoding(rng: Rng, root: Path) -> list[Path]:
    path = annotation_of(rng, root)
    text = "# Hélène Straße\n" + path.read_bytes().decode("latin-1")
    encoding = ("utf-16", "utf-16-le", "latin-1", "utf-8-sig", "utf-32", "cp500")[rng.integers(6)]
    return [write(path, text.encode(encoding, "replace"))]


def annotation_bytes(rng: Rng, root: Path) -> list[Path]:
    return [write(annotation_of(rng, root), rng.bytes(int(rng.integers(0, 3000))))]


def rubbish(rng: Rng, root: Path) -> list[Path]:
    name = ("x.edf", "x.tse_bi", "sub-9_events.tsv", "x.csv", "._y.edf", "x.csv_bi", "PAT_3_Annotations_EEG_1.tse_bi")[
        rng.integers(7)
    ]
    return [write(root / name, rng.bytes(int(rng.integers(0, 3000))))]


def folder_called_so(rng: Rng, root: Path) -> list[Path]:
    name = ("folder.edf", "folder.tse_bi", "folder_events.tsv", "folder.csv")[rng.integers(4)]
    path = pick(rng, root, ".edf").with_name(name)
    path.mkdir(exist_ok=True)
    if rng.integers(2):
        replaced = pick(rng, root, ".edf", ".tse_bi", ".csv_bi")
        replaced.unlink()
        replaced.mkdir()
        return [path, replaced]
    return [path]


def links(rng: Rng, root: Path) -> list[Path]:
    folder = pick(rng, root, ".edf").parent
    targets = {
        "loop": root,
        "self.edf": folder / "self.edf",
        "gone.edf": folder / "nowhere",
        "gone.tse_bi": folder / "no",
    }
    name = list(targets)[rng.integers(4)]
    if not (folder / name).is_symlink():
        (folder / name).symlink_to(targets[name])
    return [folder / name]


def pipe(rng: Rng, root: Path) -> list[Path]:
    path = pick(rng, root, ".edf").with_name(("pipe.edf", "pipe.csv", "pipe.tse_bi")[rng.integers(3)])
    if not path.exists():
        os.mkfifo(path)
    return [path]


def no_permission(rng: Rng, root: Path) -> list[Path]:
    path = pick(rng, root, ".edf", ".tse_bi")
    path.chmod(0)
    return [path]


def odd_name(rng: Rng, root: Path) -> list[Path]:
    path = pick(rng, root, ".edf", ".tse_bi", ".csv_bi", "_events.tsv")
    odd = ("mit Leerzeichen", "Ünïcødé", os.fsdecode(b"\xff\xfe"), "a=b,c", "x" * 200, "%s{0}", "-rf", "\n")[
        rng.integers(8)
    ]
    target = path.with_name(odd + path.suffix)
    path.rename(target)
    return [path, target]


def doubled(rng: Rng, root: Path) -> list[Path]:
    path = pick(rng, root, ".edf")
    (root / "0copies").mkdir(exist_ok=True)
    copy = root / "0copies" / path.name
    return [path, copy if copy.exists() else Path(shutil.copy(path, copy))]


WAYS: Sequence[Callable[[Rng, Path], list[Path]]] = (
    *(header_bytes, header_field, header_field, swapped_fields, truncated, random_bytes, longer, constant_data, empty),
    *(missing, annotation_text, annotation_text, annotation_encoding, annotation_bytes, rubbish, folder_called_so),
    *(links, pipe, no_permission, odd_name, doubled, time_stamps, time_stamps, units, large),
)
