"""Rescaled, saved and loaded again, in the formats that people have, in a real host."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from comfy_host.client import Client, HostError
from comfy_host.graphs import Graph, node, text_to_image
from dti_core.embedding import ConceptEmbedding
from dti_core.files.embedding_file import save_diffusers_pair

PROMPT = "a photo of {} in the rain"
WIDTHS = {"clip_l": 64, "clip_g": 96}


def vectors(seed: int, length: float = 0.4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {key: torch.randn((2, width), generator=generator) for key, width in WIDTHS.items()}
    return {key: length * rows / rows.norm(dim=-1, keepdim=True) for key, rows in drawn.items()}


def folder(client: Client) -> Path:
    return client.host.base / "models" / "embeddings"


def painted(checkpoint: str, source: str, output: int = 1, **nodes) -> Graph:
    """An image of PROMPT with the clip and the trigger of the node `source`."""
    graph = text_to_image(checkpoint, ["prompt", 0], steps=2, size=64, seed=3)
    graph["positive"]["inputs"]["clip"] = [source, output]
    graph["prompt"] = node("StringReplace", string=PROMPT, find="{}", replace=[source, output + 1])
    return {**graph, **nodes}


def load(file: str, **more) -> dict:
    return node("DTI_LoadEmbedding", embedding=file, clip=["checkpoint", 1], **more)


def picture(client: Client, graph: Graph):
    return client.images(client.run(graph), "picture")[0]


def loaded(client: Client, checkpoint: str, file: str, **more):
    return picture(client, painted(checkpoint, "load", load=load(file, **more)))


def save(**inputs) -> dict:
    defaults = {"embedding": ["load", 0], "name": "kept", "if_exists": "error", "format": "comfyui"}
    return node("DTI_SaveEmbedding", **{**defaults, **inputs})


def rescale(**inputs) -> dict:
    defaults = {"embedding": ["load", 0], "clip": ["checkpoint", 1], "magnitude": "mean", "factor": 1.0}
    return node("DTI_Rescale", **{**defaults, **inputs})


@pytest.fixture(autouse=True)
def long_word(client: Client) -> None:
    """`long`, whose vectors have twenty times the norm of ordinary words."""
    save_file(vectors(1, 8.0), folder(client) / "long.safetensors")


def test_rescaled_saved_and_typed(client, checkpoint):
    graph = painted(checkpoint, "rescale", load=load("long.safetensors"), rescale=rescale())
    graph["save"] = save(embedding=["rescale", 0], name="calm/long")
    run = client.run(graph)
    rescaled = client.images(run, "picture")[0]
    assert run.outputs["save"]["text"] == [str(folder(client) / "calm" / "long.safetensors")]
    saved = load_file(folder(client) / "calm" / "long.safetensors")
    # The mean norms of the small model's two vocabularies, to two digits; what is not rescaled has 8.
    for key, mean in (("clip_l", 0.39), ("clip_g", 0.45)):
        torch.testing.assert_close(saved[key] / saved[key].norm(dim=-1, keepdim=True), vectors(1)[key] / 0.4)
        assert saved[key].norm(dim=-1).tolist() == pytest.approx([mean] * 2, abs=0.01)
    typed = text_to_image(checkpoint, PROMPT.replace("{}", "embedding:calm/long"), steps=2, size=64, seed=3)
    assert (picture(client, typed) == rescaled).all()
    assert (loaded(client, checkpoint, "calm/long.safetensors") == rescaled).all()
    assert (loaded(client, checkpoint, "long.safetensors") != rescaled).any()


def test_names_that_are_taken(client, checkpoint):
    client.run({**painted(checkpoint, "load", load=load("long.safetensors")), "save": save(name="taken")})
    again = {**painted(checkpoint, "load", load=load("long.safetensors")), "save": save(name="Taken")}
    with pytest.raises(HostError, match="already in models/embeddings") as caught:
        client.run(again)
    assert caught.value.node_id == "save"
    again["save"] = save(name="taken", if_exists="number")
    assert client.run(again).outputs["save"]["text"][0].endswith("taken_2.safetensors")
    again["save"] = save(name="no good")
    with pytest.raises(HostError, match=r"Custom validation failed.*characters that end a name"):
        client.submit(again)


def test_a_diffusers_pair_is_listed_once_and_loads_as_one(client, checkpoint):
    graph = {"checkpoint": node("CheckpointLoaderSimple", ckpt_name=checkpoint), "load": load("long.safetensors")}
    client.run({**graph, "save": save(name="pairs/dog", format="diffusers pair")})
    assert sorted(path.name for path in (folder(client) / "pairs" / "dog").iterdir()) == [
        "learned_embeds.safetensors",
        "learned_embeds_2.safetensors",
    ]
    info = client.get("/object_info/DTI_LoadEmbedding")["DTI_LoadEmbedding"]
    (combo, *_) = info["input"]["required"]["embedding"]
    files = combo if isinstance(combo, list) else info["input"]["required"]["embedding"][1]["options"]
    pair = "pairs/dog/learned_embeds.safetensors"
    assert [file.replace("\\", "/") for file in files if "pairs" in file] == [pair]
    assert (loaded(client, checkpoint, pair) == loaded(client, checkpoint, "long.safetensors")).all()


FOREIGN = {
    "a pickle": ("old.pt", lambda v: v),
    "a name with spaces": ("my dog (v2).safetensors", lambda v: v),
    "a number for a name": ("500.safetensors", lambda v: v),
    "output embeddings": ("onetrainer.safetensors", lambda v: {**v, "clip_l_out": v["clip_l"] + 1}),
    "half precision": ("half.safetensors", lambda v: {key: rows.half() for key, rows in v.items()}),
    "a name in another script": ("M\u00fcller \u72ac.safetensors", lambda v: v),
    "a trajectory": ("steps.pt", lambda v: [{key: rows + 1 for key, rows in v.items()}, v]),
    "in a lora": (
        "lora.safetensors",
        lambda v: {
            "a.alpha": torch.tensor(1.0),
            **{f"bundle_emb.dog.{key}": rows for key, rows in v.items()},
            **{f"bundle_emb.cat.{key}": rows + 1 for key, rows in v.items()},
        },
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_tools_reach_the_prompt(client, checkpoint, kind):
    file, content = FOREIGN[kind]
    word = {key: rows.half().float() for key, rows in vectors(5).items()}
    save_file(word, folder(client) / "plain.safetensors")
    write = torch.save if file.endswith(".pt") else save_file
    write(content(word), folder(client) / file)
    more = {"name_in_lora": "dog"} if kind == "in a lora" else {}
    assert (loaded(client, checkpoint, file, **more) == loaded(client, checkpoint, "plain.safetensors")).all()


def test_encoders_with_different_numbers_of_vectors(client, checkpoint):
    """As the host reads such a file; inspected, rescaled and saved as well."""
    uneven = {key: rows[:count] for count, (key, rows) in enumerate(vectors(1).items(), start=1)}
    save_file(uneven, folder(client) / "uneven.safetensors")
    typed = text_to_image(checkpoint, PROMPT.replace("{}", "embedding:uneven"), steps=2, size=64, seed=3)
    assert (picture(client, typed) == loaded(client, checkpoint, "uneven.safetensors")).all()
    graph = painted(checkpoint, "rescale", load=load("uneven.safetensors"), rescale=rescale(factor=2.0))
    graph["save"] = save(embedding=["rescale", 0], name="uneven_2")
    graph["inspect"] = node("DTI_NormInspector", embedding=["rescale", 0], clip=["checkpoint", 1])
    report = client.run(graph).outputs["inspect"]["text"][0]
    assert "clip_g: 2 vectors of norm" in report
    assert [len(rows) for rows in load_file(folder(client) / "uneven_2.safetensors").values()] == [2, 1]


def test_a_file_that_the_host_does_not_list_is_read(client, checkpoint):
    """cog-sdxl's .pti is a safetensors file."""
    save_file(vectors(1), folder(client) / "cog.safetensors")
    plain = loaded(client, checkpoint, "cog.safetensors")
    (folder(client) / "cog.safetensors").rename(folder(client) / "cog.pti")
    assert (loaded(client, checkpoint, "cog.pti") == plain).all()


def test_of_two_files_of_one_name_the_chosen_one_is_used(client, checkpoint):
    """A prompt alone would find the .safetensors."""
    save_file(vectors(1), folder(client) / "twice.safetensors")
    torch.save(vectors(2), folder(client) / "twice.pt")
    save_file(vectors(2), folder(client) / "other.safetensors")
    assert (loaded(client, checkpoint, "twice.pt") == loaded(client, checkpoint, "other.safetensors")).all()


def test_a_changed_second_half_is_never_stale(client, checkpoint):
    first, second = (
        save_diffusers_pair(ConceptEmbedding("dog", vectors(seed)), folder(client) / name)
        for seed, name in enumerate(["changing", "changed"])
    )
    file = "changing/learned_embeds.safetensors"
    before = loaded(client, checkpoint, file)
    first[1].write_bytes(second[1].read_bytes())
    assert (loaded(client, checkpoint, file) != before).any()


def test_a_word_between_is_saved_without_any_clip(client):
    graph = {key: node("DTI_LoadEmbedding", embedding="long.safetensors") for key in "ab"}
    graph["slerp"] = node("DTI_Slerp", embedding_a=["a", 0], embedding_b=["b", 0], t=0.3, method="slerp")
    graph["save"] = save(embedding=["slerp", 0], name="between/long")
    client.run(graph)
    saved = load_file(folder(client) / "between" / "long.safetensors")
    assert all(torch.equal(saved[key], rows) for key, rows in vectors(1, 8.0).items())


def test_code_in_a_pickle_is_refused(client, checkpoint):
    torch.save({"emb_params": torch.ones(1, 64), "x": Exit()}, folder(client) / "evil.pt")
    with pytest.raises(HostError, match="holds code or objects") as caught:
        loaded(client, checkpoint, "evil.pt")
    assert caught.value.node_id == "load"


class Exit:
    """Ends the process where it is unpickled."""

    def __reduce__(self):
        return exit, (3,)
