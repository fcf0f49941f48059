"""The page on families, from what two hosts have said."""

from __future__ import annotations

from benchmarks.families.checks import COLUMNS, Cell
from benchmarks.families.notes import Found, Notes, read_notes
from benchmarks.families.page import PAGE, page
from benchmarks.families.parts import in_parts, loaders
from comfy_host.graphs import paint

ALL = dict.fromkeys(COLUMNS, Cell(True))


def lines(notes):
    return page(notes).splitlines()


def test_hosts_that_agree_share_a_word_and_others_are_named():
    old = {
        "sd15": Found("SD 1.5", ALL),
        "lotus": Found("Lotus", {"loads": Cell(True), "trains": Cell(False, "no\nway")}),
    }
    new = {"sd15": Found("SD 1.5", {**ALL, "slerp": Cell(False, "it is broken")}), "flux": Found("Flux", ALL)}
    found = lines({"0.3.75": Notes(old), "0.33.0": Notes(new)})
    row = next(line for line in found if line.startswith("| SD 1.5 |"))
    assert row == "| SD 1.5 |" + " yes |" * (len(COLUMNS) - 2) + " yes (0.3.75), no (0.33.0) | yes |"
    assert any(line.startswith("| Lotus (0.3.75 only) | yes | no |  |") for line in found)
    assert any(line.startswith("| Flux (0.33.0 only) | yes |") for line in found)
    assert "- Lotus, trains (0.3.75): no way" in found
    assert "- SD 1.5, slerp (0.33.0): it is broken" in found


def test_refusals_are_by_reason():
    found = lines(
        {
            "0.3.75": Notes(refused={"Wan": "a time axis", "Flux": "T5", "SDXL": None}),
            "0.33.0": Notes(refused={"Wan": "a time axis", "Krea": "a time axis", "SDXL": None}),
        }
    )
    assert "| a time axis | Wan, Krea (0.33.0) |" in found
    assert "| T5 | Flux (0.3.75) |" in found
    assert not any("SDXL |" in line for line in found if "time axis" in line)


def test_the_page_is_what_was_found():
    """Of two hosts, and every column of each family that trains; "loads" is left out of those without a checkpoint."""
    notes = read_notes()
    assert len(notes) == 2
    assert PAGE.read_text(encoding="utf-8") == page(notes)
    for of_host in notes.values():
        for name, row in of_host.rows.items():
            if row.cells["trains"].works:
                assert set(COLUMNS) - set(row.cells) == ({"loads"} if name == "klein" else set()), name


def test_a_graph_in_parts_has_no_checkpoint():
    family = {"clip_names": ["a", "b"], "clip_type": "flux", "vae_name": "v"}
    graph = in_parts({"checkpoint": {"inputs": {}}, **paint("a dog")}, loaders("flux", family))
    assert "checkpoint" not in graph
    assert graph["encoders"]["class_type"] == "DualCLIPLoader"
    assert graph["encoders"]["inputs"] == {"clip_name1": "a", "clip_name2": "b", "type": "flux"}
    assert graph["sampler"]["inputs"]["model"] == ["network", 0]
    assert graph["positive"]["inputs"]["clip"] == ["encoders", 0]
    assert graph["decode"]["inputs"]["vae"] == ["vae", 0]
    assert graph["decode"]["inputs"]["samples"] == ["sampler", 0]
