"""Models that dti_core trains on without ComfyUI. Each module needs what it is named after; none is imported here."""
