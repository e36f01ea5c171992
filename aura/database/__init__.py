"""Recordings, annotations and detections in PostgreSQL, for dashboards and for people who annotate there."""
