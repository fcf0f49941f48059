"""Training an embedding: the loop, its configuration and what it asks of a backend."""

from .config import StepReport, TrainingConfig
from .loop import train
from .start import start_method, start_together
from .state import TrainingState, load_state, save_state

__all__ = [
    "StepReport",
    "TrainingConfig",
    "TrainingState",
    "load_state",
    "save_state",
    "start_method",
    "start_together",
    "train",
]
