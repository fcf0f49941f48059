"""What an embedding is like: its norms, and what they do to a text encoder."""
