"""The memory plan of a run."""
from __future__ import annotations
from contextlib import contextmanager
class TrainingMemory:
    def __init__(self, plan): self.plan=plan; self.working_bytes=0; self.unet_bytes=0; self._place=None
    @contextmanager
    def followed_by(self, place):
        self._place=place
        try: yield
        finally: self._place=None
