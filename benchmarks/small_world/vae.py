"""The image codec: the host's TAESD with thin outer layers, trained on drawings.

At full resolution 64 channels are far more than flat drawings need, and on two cores they would take hours.
The thin network is trained, and then written into the host's 64-channel layout with zeros in the unused
channels, where it computes exactly the same.
"""

from __future__ import annotations

import torch
from comfy.taesd.taesd import TAESD, Block, Clamp, conv
from torch import Tensor, nn

# Channels at 1/1, 1/2, 1/4 and 1/8 of the image.
ENCODER_WIDTHS = (8, 16, 32, 64)
DECODER_WIDTHS = (16, 32, 64, 64)
SCALE = 0.13025  # SDXL's latent scale: the codec's own latents have about unit deviation


def _encoder(widths: tuple[int, int, int, int]) -> nn.Sequential:
    a, b, c, d = widths
    return nn.Sequential(
        conv(3, a), Block(a, a),
        conv(a, b, stride=2, bias=False), Block(b, b), Block(b, b), Block(b, b),
        conv(b, c, stride=2, bias=False), Block(c, c), Block(c, c), Block(c, c),
        conv(c, d, stride=2, bias=False), Block(d, d), Block(d, d), Block(d, d),
        conv(d, 4),
    )  # fmt: skip


def _decoder(widths: tuple[int, int, int, int]) -> nn.Sequential:
    a, b, c, d = widths
    return nn.Sequential(
        Clamp(), conv(4, d), nn.ReLU(),
        Block(d, d), Block(d, d), Block(d, d), nn.Upsample(scale_factor=2), conv(d, c, bias=False),
        Block(c, c), Block(c, c), Block(c, c), nn.Upsample(scale_factor=2), conv(c, b, bias=False),
        Block(b, b), Block(b, b), Block(b, b), nn.Upsample(scale_factor=2), conv(b, a, bias=False),
        Block(a, a), conv(a, 3),
    )  # fmt: skip


class Codec(nn.Module):
    """Thin TAESD. Pixels in and out are in 0..1, [n, 3, 128, 128]; latents [n, 4, 16, 16], about unit deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.taesd_encoder = _encoder(ENCODER_WIDTHS)
        self.taesd_decoder = _decoder(DECODER_WIDTHS)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # the host's layers come without initial values
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, Block):
                with torch.no_grad():
                    module.conv[4].weight.mul_(0.3)  # near the identity at first
        with torch.no_grad():
            self.taesd_decoder[-1].weight.mul_(0.3)
            self.taesd_decoder[-1].bias.fill_(0.5)

    def encode(self, pixels: Tensor) -> Tensor:
        return self.taesd_encoder(pixels)

    def decode(self, latents: Tensor) -> Tensor:
        return self.taesd_decoder(latents)


def host_tensors(thin: dict[str, Tensor]) -> dict[str, Tensor]:
    """The thin weights in the host's 64-channel layout, with its scale tensors (no key prefix)."""
    full = {name: torch.zeros_like(tensor) for name, tensor in TAESD().state_dict().items()}
    for name, tensor in thin.items():
        if full[name].ndim != tensor.ndim:
            raise ValueError(f"{name}: {tuple(tensor.shape)} does not fit {tuple(full[name].shape)}")
        full[name][tuple(slice(0, size) for size in tensor.shape)] = tensor
    # The host divides by the scale after encoding and SDXL multiplies by it: latents come back as trained.
    full["vae_scale"] = torch.tensor(SCALE)
    full["vae_shift"] = torch.tensor(0.0)
    return full
