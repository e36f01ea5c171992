"""Corpora: which files of a folder are recordings, and of which subjects."""
