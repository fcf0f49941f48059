"""What we write is loaded by the tools that people use.

The rules of each tool's reader are put here as small functions of the tensors in a file: which tensors it takes,
by encoder, or None where it refuses the file. Read from comfy/sd1_clip.py (ComfyUI), modules/textual_inversion
(A1111, Forge, SD.Next), library and networks of kohya-ss/sd-scripts, invokeai/backend/model_manager, OneTrainer's
embedding loaders. diffusers' own loader is run as it is.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import save_diffusers_pair, save_embedding

Tensors = dict[str, Tensor]
SDXL = {"clip_l": 768, "clip_g": 1280}
SD1, SD2 = {"clip_l": 768}, {"clip_h": 1024}


def as_rows(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1])


def comfyui(file: Tensors, encoders: dict[str, int]) -> Tensors | None:
    """Each encoder takes the tensor of its name, or else the first; another width is not used."""
    taken = {key: as_rows(file.get(key, next(iter(file.values())))) for key in encoders}
    return taken if all(taken[key].shape[1] == width for key, width in encoders.items()) else None


def a1111(file: Tensors, encoders: dict[str, int]) -> Tensors | None:
    """Both of SDXL's, or the only tensor; the number of vectors is the length of the first dimension."""
    if {"clip_l", "clip_g"} <= file.keys():
        taken = {key: file[key] for key in ("clip_l", "clip_g")}
    elif len(file) == 1:
        taken = dict.fromkeys(encoders, next(iter(file.values())))
    else:
        return None
    fits = all(taken[key].shape[1:] == (width,) for key, width in encoders.items() if key in taken)
    return taken if fits and taken.keys() == encoders.keys() else None


def sd_next(file: Tensors, encoders: dict[str, int]) -> Tensors | None:
    """Every tensor goes to the encoder of its width; one that fits none, or a missing one, spoils the file."""
    by_width = {width: key for key, width in encoders.items()}
    if len(file) != len(encoders) or any(t.ndim != 2 or t.shape[-1] not in by_width for t in file.values()):
        return None
    return {by_width[tensor.shape[-1]]: tensor for tensor in file.values()}


def invokeai(file: Tensors, encoders: dict[str, int]) -> Tensors | None:
    """`emb_params`, or `clip_g` with `clip_l`."""
    if "emb_params" in file:
        return dict.fromkeys(encoders, file["emb_params"])
    return {key: file[key] for key in encoders} if {"clip_l", "clip_g"} <= file.keys() else None


def kohya(file: Tensors, encoders: dict[str, int]) -> Tensors | None:
    """SDXL by the two names; SD 1 and 2 the first value of a file, whatever its name."""
    if len(encoders) == 2:
        return {key: file[key] for key in encoders} if encoders.keys() <= file.keys() else None
    return dict.fromkeys(encoders, next(iter(file.values())))


def onetrainer(file: Tensors, encoders: dict[str, int]) -> Tensors | None:
    """SDXL by the two names; SD 1 and 2 only under its own spelling, `emp_params`."""
    if len(encoders) == 2:
        return {key: file[key] for key in encoders} if encoders.keys() <= file.keys() else None
    return dict.fromkeys(encoders, file["emp_params"]) if "emp_params" in file else None


READERS: list[Callable[[Tensors, dict[str, int]], Tensors | None]] = [
    comfyui,
    a1111,
    sd_next,
    invokeai,
    kohya,
    onetrainer,
]


def concept(encoders: dict[str, int], n: int = 2) -> ConceptEmbedding:
    generator = torch.Generator().manual_seed(1)
    vectors = {key: torch.randn(n, width, generator=generator) for key, width in encoders.items()}
    return ConceptEmbedding("pets/dog", vectors, {"dti.steps": "400", "modelspec.title": "dog"})


@pytest.mark.parametrize("encoders", [SDXL, SD1, SD2], ids=["sdxl", "sd1", "sd2"])
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_what_we_write_is_loaded(tmp_path: Path, reader, encoders: dict[str, int]) -> None:
    embedding = concept(encoders)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    taken = reader(load_file(tmp_path / "dog.safetensors"), encoders)
    if reader is onetrainer and len(encoders) == 1:
        # No file suits both InvokeAI and OneTrainer here; ours suits all but the one with a typing mistake.
        assert taken is None
        return
    assert taken is not None and taken.keys() == encoders.keys()
    assert all(torch.equal(taken[key], rows) for key, rows in embedding.vectors.items())


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_the_rules_tell_files_apart(reader) -> None:
    """Files that we do not write: with a third tensor, of one encoder in two, one-dimensional."""
    vectors = dict(concept(SDXL).vectors)
    extra = reader({**vectors, "step": torch.tensor([400.0])}, SDXL)
    assert (extra is None) == (reader is sd_next)
    assert reader({"clip_g": vectors["clip_g"]}, SDXL) is None
    flat = reader({key: rows[0] for key, rows in vectors.items()}, SDXL)
    assert (flat is None) == (reader in (a1111, sd_next))


# diffusers


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP tokenizer that knows single letters."""
    folder = tmp_path_factory.mktemp("tokenizer")
    letters = "abcdefghijklmnopqrstuvwxyz<>_"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture
def pipeline(tokenizer_folder: Path) -> SimpleNamespace:
    """What diffusers' loader works on: a tokenizer and a text encoder each of small CLIP-L and CLIP-G."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the packages say of each other while they load
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        loader = pytest.importorskip("diffusers.loaders.textual_inversion", reason="diffusers is not installed")

    pipe = type("Pipeline", (loader.TextualInversionLoaderMixin,), {"components": {}, "hf_device_map": None})()
    for suffix, width in (("", 768), ("_2", 1280)):
        tokenizer = transformers.CLIPTokenizer.from_pretrained(tokenizer_folder)
        config = transformers.CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=16,
        )
        setattr(pipe, f"tokenizer{suffix}", tokenizer)
        setattr(pipe, f"text_encoder{suffix}", transformers.CLIPTextModel(config))
    return pipe


def rows_in(pipe, suffix: str, words: list[str]) -> Tensor:
    """What the text encoder now looks up for these words."""
    ids = getattr(pipe, f"tokenizer{suffix}").convert_tokens_to_ids(words)
    return getattr(pipe, f"text_encoder{suffix}").get_input_embeddings().weight.detach()[ids]


def test_diffusers_loads_the_sdxl_file_key_by_key(tmp_path: Path, pipeline) -> None:
    embedding = concept(SDXL)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    tensors = load_file(tmp_path / "dog.safetensors")
    for key, suffix in (("clip_l", ""), ("clip_g", "_2")):
        pipeline.load_textual_inversion(
            tensors[key],
            token="<dog>",
            text_encoder=getattr(pipeline, f"text_encoder{suffix}"),
            tokenizer=getattr(pipeline, f"tokenizer{suffix}"),
        )
        assert torch.equal(rows_in(pipeline, suffix, ["<dog>", "<dog>_1"]), embedding.vectors[key])


def test_diffusers_loads_the_pair_by_its_folder(tmp_path: Path, pipeline) -> None:
    embedding = concept(SDXL)
    first, second = save_diffusers_pair(embedding, tmp_path / "dog")
    for file, key, suffix in ((first, "clip_l", ""), (second, "clip_g", "_2")):
        pipeline.load_textual_inversion(
            str(file.parent),
            weight_name=file.name,
            text_encoder=getattr(pipeline, f"text_encoder{suffix}"),
            tokenizer=getattr(pipeline, f"tokenizer{suffix}"),
        )
        assert torch.equal(rows_in(pipeline, suffix, ["<dog>", "<dog>_1"]), embedding.vectors[key])


def test_diffusers_loads_the_sd1_file(tmp_path: Path, pipeline) -> None:
    embedding = concept(SD1, n=1)
    save_embedding(embedding, tmp_path / "dog.safetensors")
    pipeline.load_textual_inversion(str(tmp_path), weight_name="dog.safetensors", token="<dog>")
    assert torch.equal(rows_in(pipeline, "", ["<dog>"]), embedding.vectors["clip_l"])
