"""Data-parallel training on a few cores: one thread per process, gradients averaged once a step.

On cores shared with other work this is several times faster than one process with as many threads, where every
small operation waits for the slowest thread.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _worker(rank: int, workers: int, meeting: str, task: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(mp.parent_process(),), daemon=True).start()
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=workers)
    try:
        task(rank, workers, *arguments)
    finally:
        dist.destroy_process_group()


def _end_with(parent: BaseProcess) -> None:
    """A worker whose parent was killed would train on unseen, and write over the next run's files."""
    parent.join()
    os._exit(1)


def launch(task: Callable[..., None], workers: int, *arguments: Any) -> None:
    """Runs task(rank, workers, *arguments) in that many processes and waits for all of them."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        mp.spawn(_worker, (workers, meeting, task, arguments), nprocs=workers)


def average_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Replaces every gradient by its mean over the workers; does nothing in a single process."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
