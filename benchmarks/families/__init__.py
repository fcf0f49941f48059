"""What works with which model family: docs/families.md, found out on small checkpoints in a real ComfyUI."""
