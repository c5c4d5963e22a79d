"""Jejak measured beside a floor and a peer, in one run."""
