"""Text on a node while and after it runs."""

from __future__ import annotations

import html

from server import PromptServer


def show_on_node(text: str, node_id: str) -> None:
    """Show `text` as it is: the host's widget takes HTML, and what stands in a file is a stranger's."""
    columns = html.escape(text).replace("  ", " &nbsp;")
    PromptServer.instance.send_progress_text(columns, node_id)
