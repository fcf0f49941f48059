"""What kind of checkpoint a file is, read from its header alone; standard library only."""

import json
import struct
from pathlib import Path

# One tensor name of each part that makes a checkpoint an SDXL. Its refiner lacks the first.
PARTS = {
    "conditioner.embedders.0.": "the text encoder CLIP-L",
    "conditioner.embedders.1.": "the text encoder OpenCLIP bigG",
    "model.diffusion_model.label_emb.0.0.weight": "a UNet that hears sizes and pooled text",
    "first_stage_model.": "a VAE",
}
# The longest header that the format allows, in bytes.
HEADER_LIMIT = 100_000_000


def tensor_names(file: Path) -> list[str]:
    """Names of the tensors in a safetensors file.

    Raises FileNotFoundError where there is none, ValueError for any other kind of file and for one cut short.
    """
    if not file.is_file():
        raise FileNotFoundError(f"There is no checkpoint {file}. Name the .safetensors file of an SDXL checkpoint.")
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT
        if length >= HEADER_LIMIT or length + 8 > size:
            raise ValueError(f"{file} ({size} bytes) is not a safetensors file, or cut short. Download it again.")
        try:
            header = json.loads(stream.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        except (ValueError, AttributeError, TypeError, LookupError) as error:
            raise ValueError(f"{file} is not a safetensors file: its header does not parse.") from error
    if 8 + length + end != size:
        raise ValueError(f"{file} has {size} bytes and should have {8 + length + end}: cut short. Download it again.")
    return list(entries)


def check_sdxl(file: Path) -> None:
    """Raises ValueError for a checkpoint that is no SDXL, and says what it lacks; else as tensor_names."""
    names = tensor_names(file)
    missing = [what for part, what in PARTS.items() if not any(name.startswith(part) for name in names)]
    if missing:
        raise ValueError(
            f"{file} is not an SDXL checkpoint: among its {len(names)} tensors there is not {', nor '.join(missing)}. "
            "Name one that ComfyUI's Load Checkpoint opens as SDXL, text encoders and VAE included."
        )
