"""A node that says what the host's process holds, for benchmarks/many_trainings.py."""

import gc
import json
import threading
from typing import Any

import psutil
import torch


class HostCounts:
    """Counts anew in each prompt, after a collection of garbage."""

    CATEGORY = "DTI/benchmarks"
    FUNCTION = "count"
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls) -> float:  # noqa: N802
        return float("nan")

    def count(self) -> dict[str, Any]:
        gc.collect()
        process, objects = psutil.Process(), gc.get_objects()
        counts = {
            "MiB": round(process.memory_info().rss / 2**20),
            # By type: some objects answer isinstance with a warning.
            "tensors": sum(issubclass(type(one), torch.Tensor) for one in objects),
            "objects": len(objects),
            "handles": process.num_handles() if hasattr(process, "num_handles") else process.num_fds(),
            "threads": threading.active_count(),
        }
        return {"ui": {"text": [json.dumps(counts)]}, "result": ()}


NODE_CLASS_MAPPINGS = {"DTIHostCounts": HostCounts}
