"""One of several pieces of work, of which a failure is not to end the others."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import comfy.model_management

from .memory import is_out_of_memory

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why a piece of work came to nothing, in a sentence."""

    reason: str


def attempt(work: Callable[[], Result], what: str) -> Result | Failure:
    """What `work` returns, or why it failed; memory is then as free as the host makes it after a node that fails.

    Stop is no failure: the host's interrupt goes on, also where it came before. what: for the log.
    """
    comfy.model_management.throw_exception_if_processing_interrupted()
    try:
        return work()
    except comfy.model_management.InterruptProcessingException:  # an Exception in older hosts
        raise
    except Exception as error:
        log.exception("DTI: %s failed", what)
        # A message of ours says enough.
        kind = "" if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: "
        traceback.clear_frames(error.__traceback__)  # they hold what was allocated, and a log may hold them
        if is_out_of_memory(error):
            comfy.model_management.unload_all_models()
        comfy.model_management.soft_empty_cache()
        return Failure(f"{kind}{error}")
