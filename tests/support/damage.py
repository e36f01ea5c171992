"""Ways to damage a corpus, each from a random generator; each gives the files it touched."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Rng = np.random.Generator
# Longer files are not read here; all that are made whole are shorter.
MAX_BYTES = 1 << 20
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


def edf_of(rng: Rng, root: Path, suffix: str = ".edf") -> tuple[Path, bytearray]:
    path = pick(rng, root, suffix)
    # Another way may have made it far too long.
    return path, bytearray(path.read_bytes() if path.stat().st_size < MAX_BYTES else b"")


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


def time_stamps(rng: Rng, root: Path) -> list[Path]:
    """Change what the records of an EDF+ file say of their time, or what the file says of its gaps."""
    path, content = edf_of(rng, root, ".plus.edf")
    stamps = [found.span() for found in re.finditer(rb"[+-]\d+(\.\d+)?(?=\x14\x14)", content)]
    if not stamps or rng.integers(4) == 0:
        claim = (b"EDF+C", b"EDF+D", b"EDF+ D", b"edf+d", b" EDF+D", b"", b"EDF+")[rng.integers(7)]
        content[192:236] = claim.ljust(44)
        return [write(path, content)]
    for first, stop in (stamps[i] for i in rng.integers(len(stamps), size=rng.integers(1, 4))):
        word = (b"", b"+", b"-9", b"+0", b"+1e9", b"+99999", b"nan", b"+7.25", b"\0\0")[rng.integers(9)]
        content[first:stop] = word[: stop - first].ljust(stop - first, b"\0")
    return [write(path, content)]


def late_records(rng: Rng, root: Path) -> list[Path]:
    """Move all records from one on, by a part of a second or by hours, forwards or back."""
    path, content = edf_of(rng, root, ".plus.edf")
    stamps = list(re.finditer(rb"\+\d+(\.\d+)?(?=\x14\x14)", content))
    late_s = float(rng.choice([-3600.0, -1.0, -0.03, 0.03, 0.1, 1.0, 20.0, 7200.0]))
    for found in stamps[rng.integers(len(stamps)) if stamps else 0 :]:
        # A shorter stamp ends in zeros, a longer one is cut: both are damage too.
        stamp = f"{float(found[0]) + late_s:+.3f}".encode()
        content[found.start() : found.end()] = stamp[: len(found[0])].ljust(len(found[0]), b"0")
    return [write(path, content)]


def unit(rng: Rng, root: Path) -> list[Path]:
    """Write another unit into the header, of all channels."""
    path, content = edf_of(rng, root)
    units = (b"mV", b"", b"Volt", b".V", b"\xe6V", b"\xb5V", b"[mV]", b"a.u.", b"bpm", b"%", b"uV/div", b"\0\0", b"V V")
    word = units[rng.integers(len(units))].ljust(8)
    return [write(path, bytes(content).replace(b"uV      ", word))]


def physical_range(rng: Rng, root: Path) -> list[Path]:
    """Write limits into the header that no scale can be made of, for all channels."""
    path, content = edf_of(rng, root)
    low, high = (
        ("1e-320", "2e-320"),
        ("-1e308", "1e308"),
        ("0", "1e-40"),
        ("5000", "-5000"),
        ("nan", "inf"),
        ("-1", "1"),
    )[rng.integers(6)]
    changed = bytes(content).replace(b"-5000   ", low.encode().ljust(8)).replace(b"5000    ", high.encode().ljust(8))
    return [write(path, changed)]


def huge(rng: Rng, root: Path) -> list[Path]:
    """Say that a file holds far more than it can, or make it as long as that, with a hole in it."""
    path, content = edf_of(rng, root)
    at, field = (
        (236, b"99999999"),
        (252, b"9999"),
        (252, b"8e6 "),
        (244, b"0.000001"),
        (244, b"1000000 "),
        (184, b"99999744"),
    )[rng.integers(6)]
    content[at : at + len(field)] = field
    write(path, content)
    if rng.integers(2):
        os.truncate(path, 4 << 30)
    return [path]


def no_folder_permission(rng: Rng, root: Path) -> list[Path]:
    """Take the right to enter a folder, or to read it, or both."""
    folder = pick(rng, root, ".edf").parent
    (folder / "notes.csv").write_bytes(b"a,b\n")
    folder.chmod((0o000, 0o444, 0o711)[rng.integers(3)] if folder != root else 0o755)
    return [path for path in (folder, *folder.rglob("*")) if path != root]


def odd_folder_name(rng: Rng, root: Path) -> list[Path]:
    """Call a folder something that programs like to take for something else."""
    folder = pick(rng, root, ".edf").parent
    if folder == root:
        return []
    odd = ("p$1_$_0", "=1+1", "[1]", "<b>x", "x'y\"z", "@SUM", "~", "%(a)s", "x" * 200)[rng.integers(9)]
    before = [folder, *folder.rglob("*")]
    target = folder.with_name(odd)
    if target.exists():
        return []
    folder.rename(target)
    return [*before, target, *target.rglob("*")]


def doubled(rng: Rng, root: Path) -> list[Path]:
    path = pick(rng, root, ".edf")
    (root / "0copies").mkdir(exist_ok=True)
    copy = root / "0copies" / path.name
    return [path, copy if copy.exists() else Path(shutil.copy(path, copy))]


WAYS: Sequence[Callable[[Rng, Path], list[Path]]] = (
    *(header_bytes, header_field, header_field, swapped_fields, truncated, random_bytes, longer, constant_data, empty),
    *(missing, annotation_text, annotation_text, annotation_encoding, annotation_bytes, rubbish, folder_called_so),
    *(links, pipe, no_permission, odd_name, doubled),
    *(time_stamps, time_stamps, late_records, unit, physical_range, huge, no_folder_permission, odd_folder_name),
)
