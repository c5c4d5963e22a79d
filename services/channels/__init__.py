"""Marketplaces in and out: the anti-corruption layer."""
