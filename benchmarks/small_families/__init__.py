"""A test-only ComfyUI pack without nodes: it teaches the stock loaders small models of many families.

Everything is the families' own except the sizes: tokenizers and their words, the layout of the files, what the host
detects in them, the kind of network, the sampling. The VAE is the host's TAESD everywhere.
"""

import comfy.supported_models

from .parts import teach_loaders
from .registry import FAMILIES

# Before the host's own, some of which are known by less than sizes; of ours those first that are known by most.
CONFIGS = dict.fromkeys(family.config for family in FAMILIES.values())
comfy.supported_models.models[:0] = sorted(CONFIGS, key=lambda config: -len(config.unet_config))

teach_loaders()

# Without this name the host reports the pack as broken.
NODE_CLASS_MAPPINGS: dict[str, type] = {}
