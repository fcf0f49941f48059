"""What Score Embeddings asks for."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dti_core.scoring.prompts import PRESETS
from .host.schema import ADVANCED
from .host.scoring.samples import SAMPLERS, SCHEDULERS
from .score_run import INTERVAL, SHARE
from .sockets import DTIEmbedding


def score_inputs() -> list[Any]:
    """In this order, since graphs store values by position: new ones come last."""
    return [
        io.Model.Input(
            "model", tooltip="The model to generate with, as your graph has it: with its LoRAs and patches."
        ),
        io.Clip.Input("clip", tooltip="The text encoders that the prompt uses."),
        io.Vae.Input("vae", tooltip="The VAE that your images are decoded with."),
        io.String.Input(
            "embedding_files",
            default="my_concept*",
            tooltip="Files of models/embeddings by name, * for anything: my_concept* is a run with its saved steps. "
            "Empty: only what is connected to embeddings.",
        ),
        io.Combo.Input(
            "prompts",
            options=list(PRESETS),
            default="object",
            tooltip="Whose prompts: those that DTI's authors ask of objects, of living things, or of styles. Your own "
            "lines replace them.",
        ),
        io.Int.Input(
            "prompt_count",
            default=10,
            min=0,
            max=100,
            tooltip="How many of them, from all over. 0: all, about 40. More: narrower intervals, and as much slower.",
        ),
        io.Int.Input(
            "seeds",
            default=2,
            min=1,
            max=64,
            tooltip="Images of each prompt, the same noise for every embedding. More: narrower intervals, slower.",
        ),
        io.Int.Input("steps", default=25, min=1, max=1000, tooltip="Sampling steps, as you generate with."),
        io.Float.Input("cfg", default=5.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance, as you generate with."),
        io.Combo.Input("sampler_name", options=SAMPLERS, default="euler", tooltip="As in KSampler."),
        io.Combo.Input("scheduler", options=SCHEDULERS, default="normal", tooltip="As in KSampler."),
        io.String.Input(
            "class_word",
            default="",
            optional=True,
            tooltip="The ordinary word that embeddings are measured against, such as dog. Empty: the one that they "
            "were trained from, by their files.",
        ),
        io.Combo.Input(
            "choose",
            options=[SHARE, INTERVAL],
            default=SHARE,
            optional=True,
            tooltip="Among which the one with the most text is taken: those that keep likeness_share of the likeness, "
            "or those whose likeness is not below the best beyond the 95 % interval.",
        ),
        io.Float.Input(
            "likeness_share",
            default=0.95,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            tooltip="Share of the likeness, beyond the class word's, that has to be kept. 1: the most likeness, 0: the "
            "most text. In our tables 0.95 took a step next to the best most often.",
        ),
        io.String.Input(
            "own_prompts",
            multiline=True,
            default="",
            optional=True,
            tooltip="Your own prompts, one a line, {} where the embedding goes. Empty: the set that is chosen above.",
        ),
        DTIEmbedding.Input("embeddings", optional=True, tooltip="Embeddings to score: one, or a list."),
        io.Image.Input(
            "images",
            optional=True,
            tooltip="Images of the subject that were not trained on, two or more; needed with image_scorer.",
        ),
        io.ClipVision.Input(
            "image_scorer",
            optional=True,
            tooltip="What sees how alike images are: best DINOv2 large, from Load CLIP Vision.",
        ),
        io.ClipVision.Input(
            "text_scorer",
            optional=True,
            tooltip="What sees how well an image follows its prompt: CLIP ViT-bigG, H or L, from Load CLIP Vision.",
        ),
        io.Clip.Input(
            "text_clip",
            optional=True,
            tooltip="The text side of text_scorer, from Load CLIP. Empty: that of clip, where it is the same CLIP, "
            "such as SDXL's CLIP-G with ViT-bigG.",
        ),
        io.Mask.Input(
            "masks",
            optional=True,
            tooltip="One for each of images, 1 on the subject: what lies outside does not count.",
        ),
        io.Image.Input(
            "trained_images",
            optional=True,
            tooltip="Images that were trained on: to say where one of images is next to the same, and how alike images "
            "of the subject are where images is one alone.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            # A new seed after every run would generate everything again.
            control_after_generate=False,
            optional=True,
            tooltip="Of the first image of each prompt; further ones follow.",
            **ADVANCED,
        ),
        io.Int.Input(
            "width",
            default=0,
            min=0,
            max=8192,
            step=8,
            optional=True,
            tooltip="In pixels. 0: what the model was trained at.",
            **ADVANCED,
        ),
        io.Int.Input(
            "height",
            default=0,
            min=0,
            max=8192,
            step=8,
            optional=True,
            tooltip="In pixels. 0: what the model was trained at.",
            **ADVANCED,
        ),
        io.String.Input(
            "negative",
            default="",
            optional=True,
            tooltip="The negative prompt of all images. Empty: none.",
            **ADVANCED,
        ),
        io.String.Input(
            "siglip_folder",
            default="",
            optional=True,
            tooltip="Instead of text_scorer: a folder of models/clip_vision with the files of "
            "google/siglip-base-patch16-512, by which DTI's authors score text. Empty: none.",
            **ADVANCED,
        ),
    ]
