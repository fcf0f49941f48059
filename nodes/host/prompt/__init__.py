"""How embeddings reach prompts."""
