"""What saved workflows rely on: node ids, the order of inputs (widget values are stored by position), outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfy_host.client import Client

SNAPSHOT = Path(__file__).with_name("schemas.json")
HOSTS_OWN = ("folder", "sampler_name", "scheduler")


def schema(info: dict[str, Any]) -> dict[str, Any]:
    """The part of a node's /object_info that a saved workflow depends on, in the words of every host version."""
    inputs = {}
    for group in ("required", "optional"):
        for name, (kind, *options) in info["input"].get(group, {}).items():
            kept = {key: value for key, value in (options or [{}])[0].items() if key in ("default", "min", "max")}
            choices = kind if isinstance(kind, list) else (options or [{}])[0].get("options")
            # Lists of files and folders are the user's own, those of samplers the host's.
            files = any(str(choice).endswith(".safetensors") for choice in choices or ())
            if choices and name not in HOSTS_OWN and not files:
                kept["choices"] = choices
            inputs[name] = [group, "COMBO" if isinstance(kind, list) else kind, kept]
    return {
        "inputs": inputs,
        "outputs": [list(pair) for pair in zip(info["output_name"], info["output"], strict=True)],
        "output_is_list": info["output_is_list"],
        "output_node": info["output_node"],
    }


def test_schemas_are_as_recorded(client: Client) -> None:
    """A change here breaks saved graphs. If it is meant, put the printed schema into schemas.json."""
    host = {name: schema(info) for name, info in client.get("/object_info").items() if name.startswith("DTI_")}
    recorded = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert host == recorded, json.dumps(host, indent=1)
    # Equal dictionaries may still differ in the order of their inputs, which is what widget values go by.
    assert [list(node["inputs"]) for node in host.values()] == [
        list(recorded[name]["inputs"]) for name in host
    ], json.dumps(host, indent=1)


def test_every_node_has_a_help_page_and_tooltips(client: Client) -> None:
    for name, info in client.get("/object_info").items():
        if name.startswith("DTI_"):
            assert client.host.open(f"/extensions/directional-textual-inversion/docs/{name}.md"), name
            assert all(info["output_tooltips"]), name
            for group in info["input"].values():
                for field, (_, *options) in group.items():
                    if isinstance(field, str) and options and isinstance(options[0], dict):
                        assert options[0].get("tooltip"), f"{name}.{field}"


def test_newer_hosts_find_the_nodes_by_what_people_type(client: Client) -> None:
    info = client.get("/object_info")
    if "search_aliases" not in info["KSampler"]:
        pytest.skip("this host knows no search aliases")
    for words, name in (
        ("textual inversion", "DTI_Train"),
        ("train embedding", "DTI_Train"),
        ("dreambooth", "DTI_Train"),
        ("embedding", "DTI_LoadEmbedding"),
    ):
        assert words in info[name]["search_aliases"]
