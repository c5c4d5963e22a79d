"""Shared libraries: what services say to each other, and how a service runs."""
