"""Kinds of files that discovery passes over. Only known suffixes are reported, as others can name a person."""

from collections.abc import Iterable, Sequence
from pathlib import Path

# Recordings that have to be converted to EDF first.
RECORDINGS = frozenset(
    (
        *(
            ".bdf",
            ".rec",
            ".trc",
            ".eeg",
            ".vhdr",
            ".vmrk",
            ".avg",
            ".seg",
            ".set",
            ".fdt",
            ".cnt",
            ".mff",
            ".nk",
            ".e",
        ),
        *(
            ".lay",
            ".dat",
            ".hea",
            ".atr",
            ".mat",
            ".h5",
            ".hdf5",
            ".acq",
            ".sdf",
            ".gdf",
            ".fif",
            ".nwb",
            ".ncs",
            ".nev",
        ),
        *(
            ".ns1",
            ".ns2",
            ".ns3",
            ".ns4",
            ".ns5",
            ".ns6",
            ".ebm",
            ".edfz",
            ".bin",
            ".raw",
            ".scp",
            ".dcm",
            ".hl7",
            ".fit",
        ),
        *(".21e", ".pnt", ".log", ".m00", ".sig", ".plg", ".ari", ".qrs", ".apn", ".avro", ".parquet", ".npy", ".npz"),
    )
)
# Archives and copies that have to be unpacked or renamed first.
PACKED = frozenset(
    (".gz", ".zip", ".bz2", ".xz", ".7z", ".zst", ".rar", ".tar", ".tgz", ".lz4", ".bak", ".part", ".tmp")
)
OTHERS = frozenset(
    (
        *(".txt", ".csv", ".tsv", ".json", ".xml", ".xls", ".xlsx", ".ods", ".doc", ".docx", ".odt", ".rtf", ".pdf"),
        *(".lbl", ".lbl_bi", ".rml", ".md", ".html", ".htm", ".yaml", ".yml", ".ini", ".png", ".jpg", ".jpeg", ".tif"),
        *(".avi", ".mp4", ".mpg", ".wmv", ".mov", ".wav", ".mp3", ".db", ".sqlite", ".py", ".m", ".r", ".sh", ".ann"),
    )
)


def kind_of(name: str) -> str:
    """Return the suffix of a file, ``other`` if it is unknown; for a packed recording, the suffix of the recording too.

    Examples
    --------
    >>> [kind_of(name) for name in ("a.BDF", "a.edf.gz", "a.zip", "notes.mueller", "README")]
    ['.bdf', '.edf.gz', '.zip', 'other', 'other']
    """
    before, last = ["", "", *Path(name.lower()).suffixes][-2:]
    if last in PACKED:
        return f"{before}{last}" if before == ".edf" or before in RECORDINGS else last
    return last if last in RECORDINGS or last in OTHERS else "other"


def describe(kinds: Iterable[tuple[str, int]]) -> str:
    """List the number of files of each kind."""
    return ", ".join(f"{n} {kind}" for kind, n in kinds)


def advice(kinds: Sequence[str]) -> str:
    """Return what to do so that files of these kinds can be read; empty if nothing helps."""
    packed = any(kind.endswith(tuple(PACKED)) for kind in kinds)
    parts = (("unpack them", packed), ("convert them to EDF", any(kind in RECORDINGS for kind in kinds)))
    return " or ".join(what for what, holds in parts if holds)
