"""Text of strangers on a node of ours."""

from __future__ import annotations

from types import SimpleNamespace


def test_markup_in_a_file_stays_text_whether_the_page_reads_html_or_not(comfy_modules, monkeypatch):
    from dti_pack.nodes.host import node_text

    sent = []
    server = SimpleNamespace(instance=SimpleNamespace(send_progress_text=lambda *args: sent.append(args)))
    monkeypatch.setattr(node_text, "PromptServer", server)
    node_text.show_on_node("<img src=x onerror=alert(1)>\na  b &amp; [[c|http://d]]", "7")
    assert sent == [
        ("<\u2060img src=x onerror=alert(1)>\na \u00a0b &\u2060amp; [\u2060[c|http://d]]", "7"),
    ]
