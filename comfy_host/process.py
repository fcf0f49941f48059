"""Starts and stops a ComfyUI whose files all lie in a folder of ours; standard library only."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from comfy_host.environment import REPO, SetupError

PACK_NAME = "directional-textual-inversion"
# What the host reads of this pack.
PACK_FOLDERS = ("nodes", "dti_core", "workflows", "web")
PACK_FILES = ("__init__.py", "pyproject.toml")
START_SECONDS = 300  # a first start on a slow disk compiles and reads about 2 GB
STOP_SECONDS = 15

# A proxy in the environment must not be asked for an address of this machine.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Host:
    """A running ComfyUI: where it answers and where its files are."""

    url: str
    base: Path
    log: Path
    process: subprocess.Popen[bytes]

    def open(self, path: str, data: bytes | None = None, timeout: float = 60) -> bytes:
        """The body of one GET, or of one POST of JSON when there is data."""
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with _direct.open(request, timeout=timeout) as response:
            body: bytes = response.read()
        return body

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the host wrote."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def make_base(base: Path, packs: Sequence[Path] = (), models: dict[str, Path] | None = None) -> None:
    """Fill the folder that the host takes for its own: this pack as users get it, more packs, search paths.

    Args:
        base: made when it is not there; models, images and settings in it stay.
        packs: folders of other node packs to copy beside this one.
        models: for a kind of model ("checkpoints") one more folder to look in.
    """
    for folder in ("models/checkpoints", "models/embeddings", "input", "output", "temp", "user"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    custom_nodes = base / "custom_nodes"
    if custom_nodes.exists():
        shutil.rmtree(custom_nodes)
    copy_pack(custom_nodes / PACK_NAME)
    for pack in packs:
        _copy_folder(pack, custom_nodes / pack.name)
    # JSON is YAML too, and quotes the backslashes of a Windows path.
    extra = {"dti": {kind: str(folder.resolve()) for kind, folder in (models or {}).items()}}
    (base / "extra_model_paths.yaml").write_text(json.dumps(extra), encoding="utf-8")


def copy_pack(folder: Path) -> None:
    """Put what the host reads of this pack into the folder, and nothing else. Windows gives links to few."""
    if folder.exists():
        shutil.rmtree(folder)
    for name in PACK_FOLDERS:
        _copy_folder(REPO / name, folder / name)
    for name in PACK_FILES:
        shutil.copyfile(REPO / name, folder / name)


def command_line(tree: Path, python: Path, base: Path, port: int, options: Sequence[str] = ()) -> list[str]:
    """What starts the host on this base folder; nothing outside the folder is written."""
    command = [str(python), str(tree / "main.py"), "--base-directory", str(base)]
    command += ["--extra-model-paths-config", str(base / "extra_model_paths.yaml")]
    command += ["--database-url", f"sqlite:///{(base / 'user' / 'comfyui.db').as_posix()}"]
    command += ["--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch", *options]
    if "--cpu" not in options and not has_accelerator(python):
        command.append("--cpu")
    return command


def has_accelerator(python: Path) -> bool:
    """Whether the torch of that interpreter can use a GPU, and DTI_CPU does not forbid it; else the host is told so."""
    if os.environ.get("DTI_CPU"):
        return False
    question = (
        "import sys, torch; xpu = getattr(torch, 'xpu', None); "
        "sys.exit(not (torch.cuda.is_available() or torch.backends.mps.is_available() "
        "or (xpu is not None and xpu.is_available())))"
    )
    return subprocess.run([str(python), "-c", question], capture_output=True, env=host_variables()).returncode == 0


def host_variables() -> dict[str, str]:
    """The environment of the host: no import path of ours, no caches in somebody else's ComfyUI."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return inherited | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}


def free_port() -> int:
    """A port on which nothing listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_host(
    tree: Path, python: Path, base: Path, options: Sequence[str] = (), log: Path | None = None
) -> Iterator[Host]:
    """Start the host on a base folder made by make_base, wait until it answers, stop it at the end.

    log: the file for what it says; None for host.log in the base folder.
    """
    port = free_port()
    log = log or base / "host.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_line(tree, python, base, port, options),
            cwd=tree,
            env=host_variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    host = Host(f"http://127.0.0.1:{port}", base, log, process)
    try:
        _wait_until_it_answers(host)
        yield host
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _copy_folder(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def _wait_until_it_answers(host: Host) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if host.process.poll() is not None:
            raise SetupError(f"ComfyUI stopped while starting. The end of {host.log}:\n{host.log_tail()}")
        try:
            host.open("/system_stats", timeout=5)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise SetupError(f"No answer from ComfyUI in {START_SECONDS} s. The end of {host.log}:\n{host.log_tail()}")
