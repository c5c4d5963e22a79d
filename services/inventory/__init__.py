"""Stock as a projection of order events."""
