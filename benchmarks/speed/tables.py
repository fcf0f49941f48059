"""The parts of the benchmark, each as a table in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import mean

import torch

from benchmarks.speed import arithmetic as operations
from benchmarks.speed import growth as growing
from benchmarks.speed import plans as memory_plans
from benchmarks.speed.diffusers_loop import DiffusersLoop
from benchmarks.speed.floor import network_alone, text_encoders_alone
from benchmarks.speed.markdown import table
from benchmarks.speed.product import config, seconds_per_step
from benchmarks.speed.start import seconds_to_first_step
from benchmarks.speed.train_lora import train_lora
from benchmarks.speed.turns import Timed, in_turns, ratio, repeated, spread
from benchmarks.speed.world import load_world
from comfy_host.environment import comfyui_version

BATCH_SIZE = 4
EDGES = (512, 768, 1024)


def machine(tree: Path) -> str:
    """What the numbers were measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return (
        f"{processor}, one thread, torch {torch.__version__}, ComfyUI {comfyui_version(tree)}, {date.today()}; "
        "CPU seconds of the process, medians [quartiles]"
    )


def step(checkpoint: Path, rounds: int, steps: int) -> str:
    """A training step beside other ways to take one."""
    with torch.inference_mode():
        world = load_world(checkpoint)
    plain = load_world(checkpoint)  # weights that autograd may save, and none of the session's hooks
    unet = plain.model.model.diffusion_model.requires_grad_(False)
    rows = []
    for microbatch_size in (1, 0):
        work: dict[str, Timed] = {
            "DTI Train": _in_a_node(
                lambda size=microbatch_size: mean(seconds_per_step(world, config(steps + 1, size)))
            ),
            "network alone": repeated(network_alone(unet, BATCH_SIZE, microbatch_size), steps),
            "text encoders alone": repeated(text_encoders_alone(BATCH_SIZE), steps),
            "diffusers' loop": repeated(DiffusersLoop(plain, BATCH_SIZE, microbatch_size), steps),
        }
        if not microbatch_size:
            work["the host's Train LoRA"] = _in_a_node(lambda: mean(train_lora(world, BATCH_SIZE, steps + 1)))
        seconds = in_turns(work, rounds)
        network = seconds["network alone"]
        floor = [sum(both) for both in zip(network, seconds["text encoders alone"], strict=True)]
        for name, taken in seconds.items():
            rows.append(
                (
                    f"{name}, {microbatch_size or BATCH_SIZE} at a time",
                    _milliseconds(taken),
                    *(ratio(taken, other) for other in (network, floor, seconds["DTI Train"])),
                )
            )
    return table(("a step of 4 images", "ms", "to the network", "to network + text encoders", "to DTI Train"), rows)


def growth(checkpoint: Path, rounds: int, steps: int) -> str:
    """A step with much in the time of a step with little."""
    with torch.inference_mode():
        world = load_world(checkpoint)
        rows = []
        for name, (little, much) in growing.growth(world, steps).items():
            seconds = in_turns({"little": little, "much": much}, rounds)
            rows.append((name, ratio(seconds["much"], seconds["little"])))
        late = [growing.late_to_early(world, 50 * steps) for _ in range(-(-rounds // 5))]
    rows.append((f"last quarter of {50 * steps} steps / first", spread(late)))
    return table(("growth", "ratio of a step's time"), rows)


def start(checkpoint: Path, rounds: int, steps: int) -> str:
    """From Run to the first step."""
    with torch.inference_mode():
        runs = [seconds_to_first_step(checkpoint) for _ in range(rounds + 1)][1:]
    return table(("from Run on", "ms"), [(part, _milliseconds([run[part] for run in runs])) for part in runs[0]])


def plans(checkpoint: Path, rounds: int, steps: int) -> str:
    """What the memory plans cost."""
    with torch.inference_mode():
        world = load_world(checkpoint)
        seconds = in_turns(memory_plans.plans(world, steps), rounds)
    whole, single = next(iter(seconds)), next(name for name in seconds if name.endswith(" 1 at a time"))
    rows = [(name, ratio(taken, seconds[whole]), ratio(taken, seconds[single])) for name, taken in seconds.items()]
    return table(("memory plan", f"to {whole}", f"to {single}"), rows)


def arithmetic(checkpoint: Path, rounds: int, steps: int) -> str:
    """The same ratios as floating-point operations, here and at full size."""
    with torch.inference_mode():
        counted = {"small world": operations.small_world(load_world(checkpoint))}
    counted |= {f"SDXL, {edge} px": operations.full_size(edge) for edge in EDGES}
    rows = [
        (
            name,
            f"{one.network / 1e12:.4g}",
            f"{one.text / 1e12:.4g}",
            f"{one.vae / 1e12:.4g}",
            f"{1 + one.text / one.network:.3f}",
            f"{(one.network + one.text + one.vae) / (one.network + one.text):.3f}",
            f"{one.network_cast / 1e9:.3g}",
            f"{one.text_cast / 1e9:.3g}",
        )
        for name, one in counted.items()
    ]
    titles = (
        "TFLOP of a step of 4 images",
        "network",
        "text",
        "VAE",
        "DTI Train to network",
        "diffusers' to DTI Train",
        "GB cast in a pass of the network",
        "GB cast by text encoders",
    )
    return table(titles, rows)


def _in_a_node(timed: Timed) -> Timed:
    def run() -> float:
        with torch.inference_mode():
            return timed()

    return run


def _milliseconds(seconds: Sequence[float]) -> str:
    found = spread(seconds)
    return f"{1e3 * found.middle:.1f} [{1e3 * found.low:.1f}, {1e3 * found.high:.1f}]"
