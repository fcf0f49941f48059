"""The only place that knows the host: adapters from ComfyUI to dti_core."""
