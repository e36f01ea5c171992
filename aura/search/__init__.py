"""Searches over configurations, which several processes can share."""
