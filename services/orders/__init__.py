"""The source of truth for orders."""
