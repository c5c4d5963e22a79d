"""The Lazada Open Platform: signatures, payloads, and what they state as facts."""
