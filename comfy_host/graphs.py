"""Graphs of stock nodes and ours in the host's API format, as the shipped workflows wire them."""

from typing import Any

Graph = dict[str, dict[str, Any]]

# What DTI Train is shipped with, but for its previews, which take time.
RECIPE = {
    "name": "my_concept",
    "initializer": "dog",
    "templates": "object",
    "captions": "",
    "steps": 400,
    "batch_size": 4,
    "resolution": 0,
    "seed": 42,
    "learning_rate": 0.04,
    "kappa": 0.0001,
    "magnitude": "mean",
    "n_vectors": 0,
    "microbatch_size": 1,
    "save_every": 100,
    "if_exists": "number",
    "preview_every": 0,
}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node; an input that comes from another node is `[id, output number]`."""
    return {"class_type": class_type, "inputs": inputs}


def paint(
    text: Any, *, tag: str = "", seed: int = 1, steps: int = 4, cfg: float = 3.0, size: int = 128, count: int = 1
) -> Graph:
    """Prompt, sampler, image, on the node "checkpoint". `text` is a prompt or a link; `tag` ends the node ids."""
    return {
        f"positive{tag}": node("CLIPTextEncode", clip=["checkpoint", 1], text=text),
        f"negative{tag}": node("CLIPTextEncode", clip=["checkpoint", 1], text=""),
        f"latent{tag}": node("EmptyLatentImage", width=size, height=size, batch_size=count),
        f"sampler{tag}": node(
            "KSampler",
            model=["checkpoint", 0],
            positive=[f"positive{tag}", 0],
            negative=[f"negative{tag}", 0],
            latent_image=[f"latent{tag}", 0],
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        f"decode{tag}": node("VAEDecode", samples=[f"sampler{tag}", 0], vae=["checkpoint", 2]),
        f"picture{tag}": node("SaveImage", images=[f"decode{tag}", 0], filename_prefix="dti"),
    }


def text_to_image(checkpoint: str, text: Any, **sampling: Any) -> Graph:
    """`paint` on a checkpoint."""
    return {"checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint), **paint(text, **sampling)}


def train(checkpoint: str, folder: str, **settings: Any) -> Graph:
    """DTI Train on the images and captions of an input folder, by RECIPE but for `settings`."""
    own = {} if "images" in settings else {"images": ["pictures", 0], "captions": ["pictures", 2]}
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "pictures": node("DTI_LoadConceptImages", folder=folder, placeholder="", subfolders=False, background="white"),
        "train": node(
            "DTI_Train",
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
            vae=["checkpoint", 2],
            **{**RECIPE, **own, **settings},
        ),
    }


def paint_learned(prompt: str, *, tag: str = "", **sampling: Any) -> Graph:
    """An image of `prompt`, whose {} becomes the trigger of the node "train"."""
    return {
        f"prompt{tag}": node("StringReplace", string=prompt, find="{}", replace=["train", 2]),
        **paint([f"prompt{tag}", 0], tag=tag, **sampling),
    }
