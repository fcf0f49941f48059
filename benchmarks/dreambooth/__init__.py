"""The authors' protocol on SDXL: DreamBooth's subjects, their prompts, DINOv2 and SigLIP."""
