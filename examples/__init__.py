"""Consumers as other systems would write them: nothing of Jejak's own code is needed to read it."""
