"""The four services; they talk over topics, never by import."""
