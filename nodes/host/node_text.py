"""Text on a node while it runs, and a notice that stays until it is closed."""

from __future__ import annotations

import re

from server import PromptServer

# Older pages read the text as HTML and newer ones as it stands, but for [[links|url]]. This sign does not show, and
# breaks tags, entities and links.
WORD_JOINER = "\u2060"
NO_BREAK_SPACE = "\u00a0"


def show_on_node(text: str, node_id: str) -> None:
    """Show `text` as it is, in every version of the page: what stands in a file is a stranger's.

    Newer pages take it away when the job ends; what is to be read afterwards needs an output too.
    """
    shown = re.sub(r"[<&]|\[(?=\[)", rf"\g<0>{WORD_JOINER}", text).replace("  ", f" {NO_BREAK_SPACE}")
    PromptServer.instance.send_progress_text(shown, node_id)


def notify(text: str) -> None:
    """Show `text` on the page until it is closed (web/notices.js)."""
    PromptServer.instance.send_sync("dti.notice", {"text": text}, PromptServer.instance.client_id)
