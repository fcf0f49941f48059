"""A real browser on the real ComfyUI."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from comfy_host.editor import BROWSER_OPTIONS, Editor, find_browser
from comfy_host.process import Host


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, Chrome or Edge; without one these tests are skipped, but not on CI."""
    program = find_browser()
    if program is None:
        reason = "no Chromium, Chrome or Edge found; install one or name it in DTI_CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(BROWSER_OPTIONS))
        yield running
        running.close()


@pytest.fixture
def editor(browser: Browser, host: Host) -> Iterator[Editor]:
    """ComfyUI's page with an empty graph, in a browser without memory."""
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    yield Editor(page, host)
    page.close()
