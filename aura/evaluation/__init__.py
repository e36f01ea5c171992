"""Scores of detectors against annotated seizures."""
