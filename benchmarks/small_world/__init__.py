"""A small drawn world, the text-to-image model trained on it, and the evaluator of its images."""
