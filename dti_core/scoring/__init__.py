"""How good an embedding is, from features of images and texts; what finds the features is another's."""
