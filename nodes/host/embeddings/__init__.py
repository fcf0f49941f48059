"""The host's models/embeddings."""
