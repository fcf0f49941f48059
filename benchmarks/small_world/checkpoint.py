"""From a training state to the compact file of the repository, and from that to a checkpoint for the host.

python -m small_world.checkpoint compact FOLDER            training state -> small_world.safetensors
python -m small_world.checkpoint assemble FILE --comfyui C  small_world.safetensors -> SDXL checkpoint FILE
python -m small_world.checkpoint restore FOLDER            small_world.safetensors -> states to train on from
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from .comfyui import start_log, use_comfyui
from .files import load_state, save_state, save_tensors

COMPACT = Path(__file__).with_name("small_world.safetensors")
FORMAT = "small_world 1"
ROWS = 49408
_UNUSED_SEEDS = {"l": 101, "g": 102}
log = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]


def compact(folder: Path, target: Path = COMPACT) -> None:
    """Averaged weights, thin codec and token rows in use, as float16, in one file."""
    state, codec_state = load_state(folder / "model_state.pt"), load_state(folder / "vae_state.pt")
    codec = codec_state["codec"]
    tensors: Tensors = {f"vae.{name}": value for name, value in codec.items()}
    tensors |= {f"model.{name}": value for name, value in state["average"].items()}
    tensors = {name: value.to(torch.float16) for name, value in tensors.items()}
    for key in ("l", "g"):
        tensors[f"used.{key}"] = state["model"][f"clip_{key}.used"].to(torch.int32)
    notes = {"kind": FORMAT, "steps": str(state["step"]), "seconds": f"{state['seconds']:.0f}"}
    notes["codec_steps"] = str(codec_state.get("step", 0))
    save_tensors(target, tensors, notes)
    log.info("Wrote %s, %.1f MB, after %s steps.", target, target.stat().st_size / 1e6, notes["steps"])


def read_compact(path: Path = COMPACT) -> Tensors:
    """The tensors of a compact file; says what is wrong with any other."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; train the small world first, or check out the repository whole.")
    try:
        with safe_open(path, framework="pt") as stream:
            found = (stream.metadata() or {}).get("kind", "")

            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is cut short or not a safetensors file: {error}") from error
    if not {"used.l", "used.g"} <= tensors.keys():
        raise ValueError(f"{path} is a safetensors file (kind {found!r}) but not a compact small world.")
    return tensors


def restore(folder: Path, source: Path = COMPACT) -> None:
    """States that train_vae and train go on from, without the optimizers' memory; keeps states that are there."""
    tensors = read_compact(source)
    with safe_open(source, framework="pt") as stream:
        notes = stream.metadata()
    step, seconds = int(notes["steps"]), float(notes["seconds"])
    weights = {n.removeprefix("model."): t.float() for n, t in tensors.items() if n.startswith("model.")}
    buffers: Tensors = {}
    for key in ("l", "g"):
        buffers[f"clip_{key}.used"] = tensors[f"used.{key}"].long()
        buffers[f"clip_{key}.norms"] = weights[f"clip_{key}.rows"].norm(dim=1, keepdim=True)
    codec = {n.removeprefix("vae."): t.float() for n, t in tensors.items() if n.startswith("vae.")}
    states = {
        "vae_state.pt": {"codec": codec, "step": int(notes.get("codec_steps", 0)), "seconds": 0.0},
        "model_state.pt": {"model": {**weights, **buffers}, "average": weights, "step": step, "seconds": seconds},
    }
    for name, state in states.items():
        if (folder / name).exists():
            raise ValueError(f"{folder / name} is there already; move it away to start from {source}.")
        save_state(folder / name, state)
    log.info("Restored step %d to %s. Train on with more steps than that.", step, folder)


def _table(rows: torch.Tensor, used: torch.Tensor, encoder: str) -> torch.Tensor:
    """The whole token table [49408, width]: trained rows in their places, seeded ones everywhere else."""
    from .model import random_rows

    table = random_rows(ROWS, encoder, torch.Generator().manual_seed(_UNUSED_SEEDS[encoder]))
    table[used.long()] = rows.float()
    return table


def full_tensors(compact_tensors: Tensors) -> Tensors:
    """The SDXL checkpoint's tensors, float16, with the markers of v-prediction and zero terminal SNR."""
    import small_sdxl as arch

    from .vae import host_tensors

    trained = {n.removeprefix("model."): t for n, t in compact_tensors.items() if n.startswith("model.")}
    text: Tensors = {}
    for key in ("l", "g"):
        prefix = f"clip_{key}."
        for name, tensor in trained.items():
            if name.startswith(f"{prefix}transformer."):
                text[name] = tensor
        table = _table(trained[f"{prefix}rows"], compact_tensors[f"used.{key}"], key)
        text[f"{prefix}transformer.text_model.embeddings.token_embedding.weight"] = table
        text[f"{prefix}logit_scale"] = torch.tensor(4.6055)
    unet = {n.removeprefix("unet."): t for n, t in trained.items() if n.startswith("unet.")}
    vae = {n.removeprefix("vae."): t.float() for n, t in compact_tensors.items() if n.startswith("vae.")}
    config = arch.SmallSDXL(arch.UNET)
    tensors = config.process_unet_state_dict_for_saving(unet)
    tensors |= config.process_clip_state_dict_for_saving(text)
    tensors |= config.process_vae_state_dict_for_saving(host_tensors(vae))
    tensors |= {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    return {name: tensor.to(torch.float16) for name, tensor in tensors.items()}


def assemble(target: Path, source: Path = COMPACT) -> Path:
    """Writes the checkpoint for the host; ComfyUI must be importable (use_comfyui)."""
    tensors = full_tensors(read_compact(source))
    save_tensors(target, tensors, {"modelspec.title": "small world"})
    log.info("Wrote %s, %.1f MB.", target, target.stat().st_size / 1e6)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the compact file, or the checkpoint for the host.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("compact")
    making.add_argument("folder", type=Path)
    making.add_argument("--out", type=Path, default=COMPACT)
    building = commands.add_parser("assemble")
    building.add_argument("file", type=Path)
    building.add_argument("--compact", type=Path, default=COMPACT)
    building.add_argument("--comfyui", type=Path)
    restoring = commands.add_parser("restore")
    restoring.add_argument("folder", type=Path)
    restoring.add_argument("--compact", type=Path, default=COMPACT)
    options = parser.parse_args()
    start_log()
    try:
        if options.command == "compact":
            compact(options.folder, options.out)
        elif options.command == "restore":
            restore(options.folder, options.compact)
        else:
            use_comfyui(options.comfyui)
            start_log()
            assemble(options.file, options.compact)
    except ValueError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
