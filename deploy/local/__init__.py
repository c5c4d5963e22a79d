"""The native stack: real servers from packages alone."""
