"""MODEL, CLIP and VAE of the host as dti_core trains on them."""
