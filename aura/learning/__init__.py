"""Rows and labels to a fitted, calibrated classifier."""
