"""A consumer in Python."""
