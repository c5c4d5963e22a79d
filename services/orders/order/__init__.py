"""The order: what can have happened, what that makes true now, and what follows from the next news."""
