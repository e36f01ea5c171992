"""What stages left on disk, and whether it is current."""
