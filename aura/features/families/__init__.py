"""Families of features, a module each."""
