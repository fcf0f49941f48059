"""Graphs of stock nodes and ours in the host's API format, as the shipped workflows wire them."""

from typing import Any

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node; an input that comes from another node is `[id, output number]`."""
    return {"class_type": class_type, "inputs": inputs}


def text_to_image(
    checkpoint: str, text: Any, *, seed: int = 1, steps: int = 4, cfg: float = 3.0, size: int = 128, count: int = 1
) -> Graph:
    """Checkpoint, prompt, sampler, picture. `text` is a prompt or a link."""
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "positive": node("CLIPTextEncode", clip=["checkpoint", 1], text=text),
        "negative": node("CLIPTextEncode", clip=["checkpoint", 1], text=""),
        "latent": node("EmptyLatentImage", width=size, height=size, batch_size=count),
        "sampler": node(
            "KSampler",
            model=["checkpoint", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["checkpoint", 2]),
        "picture": node("SaveImage", images=["decode", 0], filename_prefix="dti"),
    }


def train(checkpoint: str, folder: str, **settings: Any) -> Graph:
    """DTI Train on the pictures of an input folder, at its defaults but for `settings`."""
    defaults = {
        "name": "my_concept",
        "initializer": "dog",
        "templates": "object",
        "captions": "",
        "steps": 400,
        "batch_size": 4,
        "resolution": 768,
        "seed": 42,
        "learning_rate": 0.04,
        "kappa": 0.0001,
        "magnitude": "mean",
        "n_vectors": 0,
        "microbatch_size": 0,
        "save_every": 100,
        "if_exists": "error",
    }
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "pictures": node("LoadImageDataSetFromFolder", folder=folder),
        "train": node(
            "DTI_Train",
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
            vae=["checkpoint", 2],
            **{"images": ["pictures", 0], **defaults, **settings},
        ),
    }


def train_and_paint(checkpoint: str, folder: str, prompt: str, *, sampling: Any = None, **settings: Any) -> Graph:
    """`train`, then a picture of `prompt`, whose {} becomes the trigger."""
    return {
        **text_to_image(checkpoint, ["prompt", 0], **(sampling or {})),
        **train(checkpoint, folder, **settings),
        "prompt": node("StringReplace", string=prompt, find="{}", replace=["train", 2]),
    }
