"""The formats that embeddings are stored in."""
