"""How Jejak is run."""
