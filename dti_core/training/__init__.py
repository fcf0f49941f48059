"""Training an embedding: the loop, its configuration and what it asks of a backend."""

from .config import StepReport, TrainingConfig
from .loop import train
from .start import start_method

__all__ = ["StepReport", "TrainingConfig", "start_method", "train"]
