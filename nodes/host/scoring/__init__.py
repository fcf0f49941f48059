"""What scoring embeddings needs of the host: samples of prompts, and features of images and texts."""
