"""What the numbers depend on: the authors' settings, and the rows of their Table 2."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """The defaults are those of the authors' code for SDXL (kunheek/dti@96a77a3: exps/*_sdxl.py, scripts/evaluate.py).

    resolution: short side of the training images. size: of the images that are generated.
    seeds: of the images of each prompt. prompts: how many of a subject's, the first ones; 0 for all.
    sampler, scheduler: ComfyUI's names of what diffusers' EulerDiscreteScheduler does with SDXL's settings, the time
        steps 981, 961, ... 1. DDIM without noise, which the paper names, is the same step.
    """

    steps: int = 400
    batch_size: int = 4
    resolution: int = 768
    training_seed: int = 42
    prompts: int = 0
    seeds: int = 4
    size: int = 1024
    sampling_steps: int = 50
    guidance: float = 5.0
    sampler: str = "euler"
    scheduler: str = "ddim_uniform"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("seeds", 1), ("sampling_steps", 1), ("prompts", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give {least} or more.")
        for name in ("resolution", "size"):
            if getattr(self, name) < 64 or getattr(self, name) % 8:
                raise ValueError(f"{name} is {getattr(self, name)}; give a multiple of 8, 64 or more.")


@dataclass(frozen=True)
class Row:
    """A row of the table.

    method: of dti_core.methods, at its own rate, which is the reference's; None for the class word, without training.
    rescaled: brought to the vocabulary's mean norm at use.
    paper: image and text as the authors report them for SDXL.
    """

    label: str
    method: str | None
    rescaled: bool = False
    paper: tuple[float, float] | None = None


ROWS = {
    "ti": Row("TI", "Textual Inversion", paper=(0.561, 0.292)),
    "ti-rescaled": Row("TI-rescaled", "Textual Inversion", rescaled=True, paper=(0.243, 0.466)),
    "cross-init": Row("CrossInit", "CrossInit", paper=(0.545, 0.464)),
    "dti": Row("DTI", "DTI", paper=(0.450, 0.522)),
    "class-word": Row("the class word", None),
}
PUBLISHED = tuple(name for name, row in ROWS.items() if row.paper)
