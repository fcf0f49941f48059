# ruff: noqa: T201
"""Trains a few steps on a full-size SDXL through a real ComfyUI, and says what that took.

    python benchmarks/full_size_run.py --comfyui FOLDER --python FILE --checkpoint FILE [--resolution 512] ...

--python is the interpreter of the environment that runs that ComfyUI; `python run.py host` makes one. The checkpoint is
a real one, or one that full_size_sdxl.py has written.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.demo import photographs_of_a_cat, png
from comfy_host.client import Client, Event
from comfy_host.graphs import train
from comfy_host.process import Host, make_base, running_host


def absolute(path: str) -> Path:
    """The host runs in its own folder. Links stay: an environment's interpreter is one."""
    return Path(path).expanduser().absolute()


def peak_memory(host: Host) -> str:
    """The most memory that the host has held, where the system tells (Linux)."""
    status = Path(f"/proc/{host.process.pid}/status")
    if not status.exists():
        return "unknown on this system"
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return f"{int(kib) / 2**20:.2f} GiB"


def device(client: Client) -> str:
    """The device that the host computes on, and its memory in use."""
    (first, *_) = client.get("/system_stats")["devices"]
    used = (first["vram_total"] - first["vram_free"]) / 2**30
    return f"{first['name']}, {used:.1f} GiB of {first['vram_total'] / 2**30:.1f} in use at the end"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=absolute, required=True)
    parser.add_argument("--python", type=absolute, required=True)
    parser.add_argument("--checkpoint", type=absolute, required=True)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()

    ends: list[float] = []

    def note(event: Event) -> None:
        if event["type"] == "progress" and event["data"]["node"] == "train":
            ends.append(time.monotonic())
            print(f"step {event['data']['value']} after {ends[-1] - started:.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        make_base(base, models={"checkpoints": options.checkpoint.parent})
        with running_host(options.comfyui, options.python, base) as host, Client(host) as client:
            for number, picture in enumerate(photographs_of_a_cat(), start=1):
                client.add_input(f"cat/{number}.png", png(picture))
            graph = train(
                options.checkpoint.name,
                "cat",
                name="full_size",
                initializer="cat",
                steps=options.steps,
                batch_size=options.batch_size,
                resolution=options.resolution,
                save_every=0,
            )
            started = time.monotonic()
            client.run(graph, on_event=note, timeout=7200)
            print(f"device: {device(client)}")
            print(f"peak memory of the host process: {peak_memory(host)}")
            if len(ends) > 1:
                per_sample = (ends[-1] - ends[0]) / (len(ends) - 1) / options.batch_size
                print(f"seconds per sample after the first step: {per_sample:.3f}")
            content = (base / "models" / "embeddings" / "full_size.safetensors").read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            print({name: entry.get("shape") for name, entry in header.items() if name != "__metadata__"})
            detected = [line for line in host.log.read_text(encoding="utf-8").splitlines() if "model_type" in line]
            print("\n".join(detected))


if __name__ == "__main__":
    main()
