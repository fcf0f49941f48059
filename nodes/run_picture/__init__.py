"""A training run as a person sees it: its numbers, and a picture of its losses, angles and previews."""
