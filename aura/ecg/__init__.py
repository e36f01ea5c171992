"""Samples of an ECG to RR intervals."""
