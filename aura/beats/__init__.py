"""Heartbeats in an ECG."""
