"""Readers and writers of recordings and annotations, independent of any corpus."""
