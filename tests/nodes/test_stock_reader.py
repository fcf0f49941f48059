"""Files of every kind through the host's own `load_embed` and through this pack's reader.

"same": both read the same vectors, and the file's name works in any prompt. "ours": the host reads others or none,
so that the word reaches prompts through the node only. "host": the host hands on what this pack refuses, and why.
"neither": both refuse. What is "host" here is so on purpose: vectors of zeros or NaN ruin a prompt in silence, the
numbers in a pickle that holds code are guessed by the host from their count, and the first tensor of a LoRA is no word.
"""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

WIDTHS = {"clip_l": 768, "clip_g": 1280, "clip_h": 1024, "t5xxl": 4096, "gemma2_2b": 2304, "qwen3_06b": 1024}


def rows(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


L, G, H = rows(3, 768, 1), rows(3, 1280, 2), rows(3, 1024, 3)
SDXL = {"clip_l": L, "clip_g": G}
LORA = {"lora_te1_layers_0.lora_down.weight": rows(4, 8)}
PARAMETERS = torch.nn.ParameterDict({"*": torch.nn.Parameter(L)})

# kind: file, content, who reads it, a part of the refusal
FILES: dict[str, tuple[str, Any, str, str]] = {
    "kohya sdxl": ("dog.safetensors", SDXL, "same", ""),
    "kohya sdxl pt": ("dog.pt", SDXL, "same", ""),
    "uneven": ("dog.safetensors", {"clip_l": L, "clip_g": G[:1]}, "same", ""),
    "one vector each": ("dog.safetensors", {"clip_l": L[0], "clip_g": G[0]}, "same", ""),
    "eight bits": ("dog.safetensors", {"clip_l": L.to(torch.float8_e4m3fn)}, "same", ""),
    "kohya sd1": ("dog.safetensors", {"emb_params": L}, "same", ""),
    "kohya sd2": ("dog.safetensors", {"emb_params": H}, "same", ""),
    "onetrainer sd1": ("dog.safetensors", {"emp_params": L}, "same", ""),
    "onetrainer sdxl": ("dog.safetensors", {**SDXL, "clip_l_out": L + 1, "clip_g_out": G + 1}, "same", ""),
    "onetrainer sana": ("dog.safetensors", {"gemma": rows(1, 2304)}, "same", ""),
    "onetrainer flux": ("dog.safetensors", {"clip_l": L, "t5": rows(3, 4096)}, "ours", ""),
    "qwen": ("dog.safetensors", {"qwen3_06b": H}, "same", ""),
    "a1111": ("dog.pt", {"string_to_param": {"*": L}, "name": "dog", "step": 5}, "same", ""),
    "a1111, two words": ("dog.pt", {"string_to_param": {"*": L, "+": L + 1}}, "ours", ""),
    "first textual inversion": ("dog.pt", {"string_to_token": {}, "string_to_param": PARAMETERS}, "same", ""),
    "the same in half": ("dog.pt", {"string_to_param": torch.nn.ParameterDict({"*": L.half()})}, "ours", ""),
    "before torch 1.6": ("dog.pt!", {"string_to_param": {"*": L}}, "same", ""),
    "a module before torch 1.6": ("dog.pt!", {"string_to_param": PARAMETERS}, "neither", "torch cannot read it"),
    "diffusers": ("dog.bin", {"<dog>": L[0]}, "same", ""),
    "diffusers, a flower": ("dog.safetensors", {"<flora>": L}, "same", ""),
    "several tokens": ("dog.safetensors", {"<s0>": L[:1], "<s1>": L[1:2]}, "ours", ""),
    "two names": ("dog.safetensors", {"emb": L, "emb2": G}, "ours", ""),
    "cog-sdxl": ("dog.pti", {"text_encoders_0": L, "text_encoders_1": G}, "ours", ""),
    "another clip's name": ("dog.safetensors", {"clip_g": L}, "same", ""),
    "two names exchanged": ("dog.safetensors", {"clip_g": L, "clip_l": G}, "ours", ""),
    "list of encoders": ("dog.pt", [{"clip_l": L}, {"clip_g": G}], "same", ""),
    "trajectory": ("dog.pt", [{"<dog>": L}, {"<dog>": L + 1}], "ours", ""),
    "trajectory of tensors": ("dog.pt", [L, L + 1], "ours", ""),
    "bundled": ("dog.safetensors", {**LORA, **{f"bundle_emb.dog.{k}": v for k, v in SDXL.items()}}, "same", ""),
    "two bundled": (
        "dog.safetensors",
        {**LORA, "bundle_emb.dog.clip_l": L, "bundle_emb.cat.clip_l": L},
        "host",
        "Say which",
    ),
    "lora": ("dog.safetensors", LORA, "host", "a LoRA"),
    "zeros": ("dog.safetensors", {"clip_l": L * 0}, "host", "zeros only"),
    "not finite": ("dog.pt", {"emb_params": L / 0}, "host", "NaN or infinite"),
    "an object": ("dog.pt", {"emb_params": L, "day": datetime.date(2024, 1, 1)}, "host", "holds code or objects"),
    "git lfs": ("dog.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "neither", "Git LFS"),
    "web page": ("dog.bin", b"<!DOCTYPE html><title>Sign in</title>", "neither", "web page"),
    "cut": ("dog.safetensors", b"\x40\0\0\0\0\0\0\0{", "neither", "truncated"),
}


def write(folder: Path, file: str, content: Any) -> Path:
    path = folder / file.removesuffix("!")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif file.endswith((".safetensors", ".pti")):
        save_file({key: value.clone() for key, value in content.items()}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=not file.endswith("!"))
    return path


def hosts(folder: Path, key: str, name: str) -> torch.Tensor | None:
    """What the host reads for one encoder; None where it refuses, or takes what has another width."""
    import comfy.sd1_clip

    try:
        loaded = comfy.sd1_clip.load_embed(name, str(folder), WIDTHS[key], key)
    except Exception:  # it looks at any file as if it were of the forms it knows
        return None
    return loaded if torch.is_tensor(loaded) else None


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_what_the_host_reads_is_read_alike(comfy_modules, tmp_path, monkeypatch, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import folder_paths
        from dti_pack.dti_core.files.embedding_file import load_embedding
        from dti_pack.nodes.host.embeddings.folder import embedding_files, name_of, prompt_reads

    file, content, reader, reason = FILES[kind]
    path = write(tmp_path, file, content)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "embeddings", ([str(tmp_path)], {path.suffix}))
    folder_paths.filename_list_cache.pop("embeddings", None)
    assert embedding_files() == [path.name]
    name = name_of(path.name)
    if reader in ("host", "neither"):
        with pytest.raises(ValueError, match=reason):
            load_embedding(path)
        found = hosts(tmp_path, "clip_l", name)
        assert (found is not None) == (reader == "host")
        return
    loaded = load_embedding(path)
    same = []
    for key, vectors in loaded.vectors.items():
        found = hosts(tmp_path, key, name)
        alike = found is not None and found.shape[-1] == WIDTHS[key]
        same.append(alike and torch.equal(found.float().reshape(-1, WIDTHS[key]), vectors))
    assert all(same) == (reader == "same")
    named = type(loaded)(name, loaded.vectors)
    assert prompt_reads(named) == (reader == "same")
