"""Many concepts on many GPUs: a ComfyUI for each GPU, a manifest of concepts, Ray between them."""
