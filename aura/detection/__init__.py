"""A fitted detector: probabilities to alarms, on disk, in batch and live."""
