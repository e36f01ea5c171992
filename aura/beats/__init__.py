"""Heartbeats in an ECG."""

from aura.beats.whole import detect

__all__ = ["detect"]
