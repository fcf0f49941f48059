"""Image Row: images side by side, each with its label under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image, ImageDraw
from torch import Tensor

from .host.schema import search_aliases

MARGIN = 8


class DTIPictureRow(io.ComfyNode):
    """Puts the images of a list into one, in order, with labels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_PictureRow",
            display_name="Image Row",
            category="DTI",
            **search_aliases("picture row", "image grid", "contact sheet", "labels"),
            description="Puts a list of images side by side, each with its label, such as those of Slerp Sweep.",
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="The images, all of one size."),
                io.String.Input("labels", force_input=True, tooltip="One text for each image."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The row.")],
        )

    @classmethod
    def execute(cls, images: Sequence[Tensor], labels: Sequence[str]) -> io.NodeOutput:
        pictures = [picture for batch in images for picture in batch]
        if len(labels) != len(pictures):
            raise ValueError(
                f"There are {len(pictures)} images and {len(labels)} labels; give one label for each image."
            )
        if len({picture.shape for picture in pictures}) > 1:
            raise ValueError(f"The images differ in size: {sorted({tuple(p.shape[:2]) for p in pictures})}.")
        return io.NodeOutput(draw_row(pictures, labels).unsqueeze(0))


def draw_row(pictures: list[Tensor], labels: Sequence[str]) -> Tensor:
    """Images `[H, W, 3]` in [0, 1] to one row `[H + label, n * (W + margin) + margin, 3]`."""
    height, width = pictures[0].shape[:2]
    font_size = max(12, width // 12)
    row = Image.new("RGB", (len(pictures) * (width + MARGIN) + MARGIN, height + 2 * MARGIN + 2 * font_size), "white")
    draw = ImageDraw.Draw(row)
    for column, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left = MARGIN + column * (width + MARGIN)
        pixels = (picture.cpu().numpy().clip(0, 1) * 255).round().astype(np.uint8)
        row.paste(Image.fromarray(pixels), (left, MARGIN))
        middle = (left + width // 2, height + MARGIN + font_size)
        draw.text(middle, label, "black", font_size=font_size, anchor="mm")
    return torch.from_numpy(np.asarray(row).astype(np.float32) / 255)
