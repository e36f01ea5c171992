"""Recordings, annotations and detections in PostgreSQL: for dashboards, and for who annotates there."""
