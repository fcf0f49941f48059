"""What is done beside the training, of which a failure is not to end the run."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management

from .memory import is_out_of_memory

log = logging.getLogger(__name__)


class SideWork:
    """Goes on until something goes wrong with it, such as memory that runs out.

    what: it is called. note: why there is no more of it; "" where there is.
    """

    def __init__(self, what: str) -> None:
        self.note = ""
        self._what = what

    @contextmanager
    def survived(self) -> Iterator[None]:
        """The context ends early where it fails. Stop is no failure: the host's interrupt goes on."""
        try:
            yield
        except comfy.model_management.InterruptProcessingException:  # an Exception in older hosts
            raise
        except Exception as error:
            reason = "memory ran out" if is_out_of_memory(error) else str(error)
            self.note = f"No more {self._what}: {reason}. The training is not affected."
            log.warning("DTI: %s", self.note, exc_info=error)
            traceback.clear_frames(error.__traceback__)  # they hold what was allocated
            comfy.model_management.soft_empty_cache()
