"""The model under training: the host's UNet and its two CLIP text encoders, with only the rows in use.

Most rows of the 49408-word token tables occur in no caption. They are left out here, and written from a seed
when the checkpoint is assembled. Rows in use keep the norms they were born with, near CLIP's own, so that
"in-distribution" means for this model what it means for the real one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import comfy.ops
import small_sdxl as arch
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.model_sampling import ModelSamplingDiscrete
from comfy.sdxl_clip import SDXLClipModel
from torch import Tensor, nn

TOKEN_NORMS = {"l": 0.39, "g": 0.45}  # mean row norms of CLIP-L's and bigG's token tables
NORM_SPREAD = 0.05  # relative
WIDTHS = {"l": arch.CLIP_L_WIDTH, "g": arch.CLIP_G_WIDTH}


def random_rows(count: int, encoder: str, generator: torch.Generator) -> Tensor:
    """Token rows [count, width] in random directions, their norms spread as CLIP's are."""
    rows = torch.randn(count, WIDTHS[encoder], generator=generator)
    norms = TOKEN_NORMS[encoder] * (1 + NORM_SPREAD * torch.randn(count, 1, generator=generator))
    return rows / rows.norm(dim=1, keepdim=True) * norms


def _initialise(module: nn.Module) -> None:
    """The host's layers come without initial values; residual branches start near zero."""
    for name, parameter in module.named_parameters():
        if parameter.ndim == 1:
            nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
        elif "embedding" in name:
            nn.init.normal_(parameter, std=0.01)
        else:
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
        ends = ("out_layers.3.weight", "proj_out.weight", "out.2.weight")
        if name.endswith(ends):
            nn.init.zeros_(parameter)
        elif name.endswith(("out_proj.weight", "fc2.weight", "to_out.0.weight", "ff.net.2.weight")):
            with torch.no_grad():
                parameter.mul_(0.3)


def _own_input(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].clone(), *inputs[1:])


class TextEncoder(nn.Module):
    """One of the host's text encoders over a small table: row indices in, hidden states and pooled out."""

    def __init__(self, encoder: str, used: Sequence[int]) -> None:
        super().__init__()
        options = {"custom_operations": comfy.ops.disable_weight_init}
        sizes = {f"clip_{key}_model_config": arch.text_config(width) for key, width in WIDTHS.items()}
        host = getattr(SDXLClipModel(model_options={**options, **sizes}, dtype=torch.float32), f"clip_{encoder}")
        self.transformer = host.transformer
        self.layer = host.layer_idx
        self.transformer.text_model.embeddings.token_embedding = nn.Identity()
        _initialise(self.transformer)
        # The host adds its residuals in place; a LayerNorm that keeps a copy of its input can go backward.
        for module in self.transformer.modules():
            if isinstance(module, nn.LayerNorm):
                module.register_forward_pre_hook(_own_input)
        self.transformer.requires_grad_(True)
        generator = torch.Generator().manual_seed(17 if encoder == "l" else 18)
        self.rows = nn.Parameter(random_rows(len(used), encoder, generator))
        self.register_buffer("norms", self.rows.detach().norm(dim=1, keepdim=True))
        self.register_buffer("used", torch.tensor(list(used)))

    def forward(self, indices: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
        """indices [n, positions] into the table in use, and tokens up to the end token.

        Returns [n, positions, width] and [n, width]. The host always works on 77 positions; the attention is
        causal, so fewer give the same numbers for those that are there.
        """
        text = self.transformer.text_model
        positions = indices.shape[1]
        embedded = self.rows[indices] + text.embeddings.position_embedding.weight[:positions]
        mask = embedded.new_full((positions, positions), -torch.finfo(embedded.dtype).max).triu_(1)
        last, hidden = text.encoder(embedded, mask=mask, intermediate_output=self.layer)
        ends = text.final_layer_norm(last)[torch.arange(len(lengths)), torch.tensor(lengths) - 1]
        return hidden, self.transformer.text_projection(ends)

    @torch.no_grad()
    def keep_norms(self) -> None:
        """Puts every row back on its sphere."""
        self.rows.mul_(self.norms / self.rows.norm(dim=1, keepdim=True))


def _without_sizes(gradient: Tensor) -> Tensor:
    return torch.cat([gradient[:, : WIDTHS["g"]], torch.zeros_like(gradient[:, WIDTHS["g"] :])], dim=1)


class SmallModel(nn.Module):
    """UNet and text encoders with SDXL's conditioning; predicts velocity at zero terminal SNR."""

    def __init__(self, used: dict[str, Sequence[int]]) -> None:
        super().__init__()
        self.unet = UNetModel(**arch.UNET)
        _initialise(self.unet)
        # All images are of one size: the 1536 inputs for sizes are one large constant, and get no weight.
        entry = self.unet.label_emb[0][0]
        with torch.no_grad():
            entry.weight[:, : WIDTHS["g"]].normal_(std=1 / math.sqrt(WIDTHS["g"]))
            entry.weight[:, WIDTHS["g"] :].zero_()
        entry.weight.register_hook(_without_sizes)
        self.clip_l = TextEncoder("l", used["l"])
        self.clip_g = TextEncoder("g", used["g"])
        sigmas = ModelSamplingDiscrete(zsnr=True).sigmas
        self.register_buffer("alphas", 1 / (sigmas.square() + 1), persistent=False)

    def conditioning(self, tokens: dict[str, Tensor], lengths: list[int]) -> tuple[Tensor, Tensor]:
        """Row indices [n, positions] per encoder: context [n, positions, 160] and y [n, 96 + 6 * 256]."""
        hidden_l, _ = self.clip_l(tokens["l"], lengths)
        hidden_g, pooled = self.clip_g(tokens["g"], lengths)
        sizes = pooled.new_zeros(len(pooled), arch.UNET["adm_in_channels"] - WIDTHS["g"])
        return torch.cat([hidden_l, hidden_g], dim=-1), torch.cat([pooled, sizes], dim=-1)

    def errors(self, latents: Tensor, noise: Tensor, steps: Tensor, context: Tensor, y: Tensor) -> Tensor:
        """Squared errors of the velocity per latent cell [n, 16, 16]; latents [n, 4, 16, 16], steps [n] in 0..999."""
        alpha = self.alphas[steps][:, None, None, None]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        predicted = self.unet(noisy, steps.float(), context=context, y=y)
        return (predicted - velocity).square().mean(1)

    def keep_norms(self) -> None:
        self.clip_l.keep_norms()
        self.clip_g.keep_norms()
