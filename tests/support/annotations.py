"""Readers of the formats in which detections are written."""

from aura.formats.tabular import read_csv, read_events_tsv
from aura.formats.tse import read_tse

READERS = {"tse_bi": read_tse, "csv_bi": read_csv, "events_tsv": read_events_tsv}
