"""A small drawn world, the text-to-image model trained on it, and the judge of its pictures."""
