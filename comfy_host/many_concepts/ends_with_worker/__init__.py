"""A node pack without nodes: this ComfyUI ends when the worker that started it is gone.

A worker that is killed cannot end it, and it would go on training on a GPU that the next one is given.
"""

import os
import threading
import time

import psutil

NODE_CLASS_MAPPINGS: dict[str, type] = {}


def _end_with(worker: int) -> None:
    try:
        process = psutil.Process(worker)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    except psutil.NoSuchProcess:
        pass
    os._exit(1)


threading.Thread(target=_end_with, args=(int(os.environ["DTI_WORKER_PROCESS"]),), daemon=True).start()
