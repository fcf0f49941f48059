"""Works ComfyUI's page in a real browser: opens workflow files, presses Run, takes screenshots."""

import json
import os
import shutil
import time
from pathlib import Path

from playwright.sync_api import Locator, Page

from comfy_host.client import HostError, Prompt, Run
from comfy_host.process import Host

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge")
# Where the installers of Windows and macOS put a browser, which is on no search path there.
BROWSER_FILES = (
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
BROWSER_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Older pages complain in dialogs and toasts, newer ones in a panel below the Run button.
COMPLAINTS = ".p-dialog, [role=dialog], .p-toast-message-error, .p-toast-message-warn, [data-testid=error-overlay]"


def find_browser() -> str | None:
    """The browser that DTI_CHROMIUM names, else an installed Chromium, Chrome or Edge."""
    named = os.environ.get("DTI_CHROMIUM")
    found = [named, *map(shutil.which, BROWSERS), *(file for file in BROWSER_FILES if Path(file).is_file())]
    return next((file for file in found if file), None)


class Editor:
    """ComfyUI's page, opened for the first time by somebody who has seen the introduction."""

    def __init__(self, page: Page, host: Host) -> None:
        self.page = page
        self.host = host
        # Nothing but the host is asked: the page looks for news on the internet.
        page.route(lambda url: not url.startswith(host.url), lambda route: route.abort())
        host.open("/settings/Comfy.TutorialCompleted", b"true")
        page.goto(host.url)
        page.wait_for_function("() => window.app?.graph && window.app.extensionManager")
        self._run_button().wait_for()

    def load(self, workflow: Path) -> None:
        """Open a workflow file as the menu does; HostError when the page complains or a node is missing."""
        nodes = json.loads(workflow.read_text(encoding="utf-8"))["nodes"]
        self.page.set_input_files("#comfy-file-input", workflow)
        self.page.wait_for_function("count => app.graph._nodes.length === count", arg=len(nodes))
        self.page.wait_for_timeout(500)  # a complaint comes a moment after the nodes
        self._raise_complaints(workflow.name)
        known = set(self.page.evaluate("() => Object.keys(LiteGraph.registered_node_types)"))
        missing = sorted({node["type"] for node in nodes} - known)
        if missing:
            raise HostError(f"{workflow.name} has nodes the page does not know: {', '.join(missing)}")

    def api_prompt(self) -> Prompt:
        """The graph in the form that POST /prompt takes, translated by the page itself."""
        prompt: Prompt = self.page.evaluate("async () => (await app.graphToPrompt()).output")
        return prompt

    def run(self, timeout: float = 600) -> Run:
        """Press the Run button and wait for the end; HostError when the host refuses the graph or fails in it."""
        with self.page.expect_response(lambda r: r.request.method == "POST" and r.url.endswith("/prompt")) as sent:
            self._run_button().click()
        if not sent.value.ok:
            raise HostError(f"The host refuses the graph: {sent.value.text()}")
        prompt_id: str = sent.value.json()["prompt_id"]
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.page.wait_for_timeout(300)
            entry = json.loads(self.host.open(f"/history/{prompt_id}")).get(prompt_id)
            if entry is None:
                continue
            if entry["status"]["status_str"] != "success":
                raise HostError(json.dumps(entry["status"]["messages"][-1]))
            self._raise_complaints("Run")
            return Run(prompt_id, entry["outputs"], events=[])
        raise HostError(f"The prompt took longer than {timeout:.0f} s")

    def screenshot(self, file: Path) -> None:
        """A screenshot with the whole graph in view."""
        self.page.keyboard.press(".")
        self.page.wait_for_timeout(1000)  # it moves there
        self.page.screenshot(path=file)

    def _run_button(self) -> Locator:
        # A newer page gives the menu beside the button the same name.
        return self.page.get_by_role("button", name="Run", exact=True).first

    def _raise_complaints(self, during: str) -> None:
        boxes = self.page.locator(COMPLAINTS)
        complaints = [box.inner_text() for box in boxes.all() if box.is_visible()]
        if complaints:
            raise HostError(f"{during}: the page says: {' / '.join(complaints)}")
