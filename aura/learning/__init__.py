"""Rows and labels to a fitted classifier."""
