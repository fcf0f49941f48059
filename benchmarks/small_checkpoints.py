"""The small checkpoints, made by the host's own Python where they are wanted; standard library only."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfy_host.environment import SetupError
from comfy_host.process import host_variables

BENCHMARKS = Path(__file__).resolve().parent
SMALL_SDXL = BENCHMARKS / "small_sdxl"
SMALL_FAMILIES = BENCHMARKS / "small_families"
SMALL_VISION = BENCHMARKS / "small_vision"
SMALL_WORLD = BENCHMARKS / "small_world" / "small_world.safetensors"


def random_checkpoint(tree: Path, python: Path, file: Path, *options: str) -> None:
    """Write the small SDXL with random weights to the file, unless it is there."""
    if not file.is_file():
        _benchmark(python, [str(SMALL_SDXL / "random_checkpoint.py"), str(file), *options], tree)


def family_checkpoints(
    tree: Path, python: Path, folder: Path, *names: str, parts: Path | None = None
) -> dict[str, dict[str, Any]]:
    """A checkpoint of each of these small families, or of all, in the folder; written there unless it is there.

    parts: ComfyUI's models folder, for the same in parts too.

    Returns by name its title, the initializer to train from, the keys of its text encoders, and the parts' names.
    """
    apart = [] if parts is None else ["--parts", str(parts)]
    said = _benchmark(python, [str(SMALL_FAMILIES / "random_checkpoint.py"), str(folder), *names, *apart], tree)
    return dict(json.loads(said))


def small_world(tree: Path, python: Path, folder: Path) -> Path:
    """The trained small SDXL in that folder; written there unless it is there."""
    digest = hashlib.sha256(SMALL_WORLD.read_bytes()).hexdigest()[:8]
    file = folder / f"small_world_{digest}.safetensors"
    if not file.is_file():
        _benchmark(python, ["-m", "small_world.checkpoint", "assemble", str(file), "--comfyui", str(tree)], tree)
    return file


@contextmanager
def learning_by_inversion(
    tree: Path, python: Path, checkpoint: Path, pictures: Path, file: Path, word: str, steps: int
) -> Iterator[None]:
    """Plain Textual Inversion in a process of its own, begun on entry and finished on exit; writes `file`."""
    arguments = [str(checkpoint), str(pictures), str(file), "--initializer", word, "--steps", str(steps)]
    command = [str(python), "-m", "paper_tables.learn", *arguments, "--comfyui", str(tree)]
    log = file.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=BENCHMARKS, env=host_variables(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield
            if process.wait() != 0:
                raise SetupError(f"Textual Inversion failed:\n{log.read_text(encoding='utf-8', errors='replace')}")
        finally:
            process.kill()
            process.wait()
    log.unlink()


def _benchmark(python: Path, arguments: Sequence[str], tree: Path) -> str:
    """Run something of the benchmarks folder with ComfyUI on the path; what it writes last, in a line."""
    result = subprocess.run(
        [str(python), *arguments],
        cwd=BENCHMARKS,
        env=host_variables() | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if result.returncode != 0:
        raise SetupError(f"{' '.join(arguments)} failed:\n{result.stdout}")
    return result.stdout.strip().rpartition("\n")[2]
