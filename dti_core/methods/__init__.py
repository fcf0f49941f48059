"""Ways to find a concept's vectors, each in a file that reads like its paper's algorithm.

The training loop is the same for all. To add one, write a class as `Method` describes it and name it in METHODS.
"""

from __future__ import annotations

from .cross_init import CrossInit
from .dti import DTI
from .method import Method, Movement
from .options import Options
from .projected_adamw import ProjectedAdamW
from .textual_inversion import TextualInversion
from .together import Together

__all__ = [
    "DTI",
    "METHODS",
    "CrossInit",
    "Method",
    "Movement",
    "Options",
    "ProjectedAdamW",
    "TextualInversion",
    "Together",
]

METHODS: dict[str, type[Method]] = {
    "DTI": DTI,
    "Textual Inversion": TextualInversion,
    "CrossInit": CrossInit,
    "projected AdamW": ProjectedAdamW,
}
