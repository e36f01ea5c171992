"""Doors to other platforms."""
