"""Honest simulators of the marketplaces."""
