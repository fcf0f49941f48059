"""Models that dti_core trains on without ComfyUI. Each package needs what it is named after; none is imported here."""
