"""What Score Embeddings makes of scores: text, tables, pictures."""
