"""Integrations with other platforms."""
