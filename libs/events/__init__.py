"""What services say to each other: the public contract. Pydantic only, no I/O."""
