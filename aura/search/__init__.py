"""Searches over the overrides of a configuration, which several processes can share."""
