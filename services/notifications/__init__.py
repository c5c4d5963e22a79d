"""Words to people and systems about orders."""
