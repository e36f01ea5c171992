"""Write EDF files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyedflib

from aura.core.arrays import Floats

PHYSICAL_RANGE_UV = 5000.0


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A channel to write.

    Parameters
    ----------
    label
        Label of up to 16 ASCII characters.
    samples_uv
        (duration_s * fs_hz,) samples in microvolts; values outside the physical range of 5 mV are clipped, as in
        amplifiers.
    fs_hz
        Sampling rate in whole hertz.
    """

    label: str
    samples_uv: Floats
    fs_hz: int


def write_edf(edf: Path, channels: Sequence[Channel], *, start: datetime, patient: str = "") -> None:
    """Write channels of whole seconds as a plain EDF file; the same input gives the same bytes."""
    writer = pyedflib.EdfWriter(str(edf), len(channels), file_type=pyedflib.FILETYPE_EDF)
    try:
        writer.setStartdatetime(start)
        writer.setPatientCode(patient)
        writer.setSignalHeaders(
            [
                {
                    "label": channel.label,
                    "dimension": "uV",
                    "sample_frequency": channel.fs_hz,
                    "physical_min": -PHYSICAL_RANGE_UV,
                    "physical_max": PHYSICAL_RANGE_UV,
                    "digital_min": -32767,
                    "digital_max": 32767,
                    "transducer": "",
                    "prefilter": "",
                }
                for channel in channels
            ]
        )
        scale = 32767 / PHYSICAL_RANGE_UV
        digital = [
            np.clip(np.round(channel.samples_uv * scale), -32767, 32767).astype(np.int32) for channel in channels
        ]
        writer.writeSamples(digital, digital=True)
    finally:
        writer.close()
