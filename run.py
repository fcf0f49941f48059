# ruff: noqa: T201
"""Runs the demo, the tests or a ComfyUI with this pack in it, on a machine that has nothing but Python.

What is installed goes into the folder .host beside this file (or where DTI_HOST_DIR says) and nowhere else.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (the reader's Python, not ours)
    sys.exit(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}.")

from comfy_host.environment import (
    REPO,
    SetupError,
    comfyui_tree,
    comfyui_version,
    driver_environment,
    given_interpreter,
    host_dir,
    own_environment,
)
from comfy_host.process import command_line, free_port, host_variables, make_base
from comfy_host.venv import imports

# Tests that compare numbers, in half a minute, and the kernels of a processor without wide vectors: it adds in another
# order. Elsewhere than on x86 these variables change nothing.
NUMBERS = ("tests/core", "tests/nodes", "tests/benchmarks/small_world", "--ignore-glob=*/test_in_comfyui.py")
OTHER_KERNELS = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}


def demo(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Train an embedding in a ComfyUI of our own and show images of it."""
    if options.checkpoint and not options.checkpoint.expanduser().is_file():
        raise SetupError(f"No checkpoint at {options.checkpoint}. Name an SDXL .safetensors file.")
    if options.images and not options.images.expanduser().is_dir():
        raise SetupError(f"No folder at {options.images}. Name a folder with three to six images.")
    tree = comfyui_tree(options.comfyui)
    given = given_interpreter(options.python)
    driver = driver_environment() if given else own_environment(tree, "benchmarks")
    command = [str(driver), "-m", "benchmarks.demo", "--comfyui", str(tree), "--python", str(given or driver)]
    if options.checkpoint:
        command += ["--checkpoint", str(options.checkpoint.expanduser().absolute())]
    if options.images:
        command += ["--images", str(options.images.expanduser().absolute())]
    if options.initializer:
        command += ["--initializer", options.initializer]
    return _run(command)


def test(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Check style and types, run pytest, and once more what compares numbers; with arguments, only pytest with them."""
    tree = comfyui_tree(options.comfyui)
    python = str(own_environment(tree, "benchmarks", "diffusers", "dev", "ray"))
    tools = () if extra else ("ruff check", "comfy_host.type_check")
    failed = [tool for tool in tools if _run([python, "-m", *tool.split()])]
    if failed:
        print(f"Failed, see above: {', '.join(failed)}. The tests follow all the same.", flush=True)
    # The tests start the host themselves, from the tree and the interpreter named here.
    chosen = {"DTI_COMFYUI": str(tree), "DTI_PYTHON": str(given_interpreter(options.python) or python)}
    pytest, variables = [python, "-m", "pytest"], os.environ | chosen
    tested = _run([*pytest, *extra], variables)
    if not (extra or tested):
        print("Once more what compares numbers, with another processor's kernels.", flush=True)
        tested = _run([*pytest, *NUMBERS], variables | OTHER_KERNELS)
    return tested or bool(failed)


def memory(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Count, without a GPU, what training on a full-size model takes on cards of several sizes."""
    tree = comfyui_tree(options.comfyui)
    python = given_interpreter(options.python) or own_environment(tree)
    command = [str(python), "-m", "benchmarks.memory.table", "--comfyui", str(tree), "--family", options.family]
    return _run(command, host_variables())


def host(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Run ComfyUI with this pack until Ctrl-C; further arguments go to ComfyUI."""
    tree = comfyui_tree(options.comfyui)
    python = given_interpreter(options.python) or own_environment(tree)
    base = host_dir() / comfyui_version(tree) / "base"
    make_base(base)
    port = free_port()
    print(f"ComfyUI {comfyui_version(tree)} will answer on http://127.0.0.1:{port} (its files: {base})", flush=True)
    return _run(command_line(tree, python, base, port, extra), host_variables())


def concepts(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Train the concepts of a manifest, a ComfyUI on each GPU; docs/many_concepts.md has the further arguments."""
    tree = comfyui_tree(options.comfyui)
    python = own_environment(tree, "benchmarks", "ray")
    if not imports(python, "ray"):
        raise SetupError(f"Ray has nothing but a beta here, or nothing at all. To try it: {python} -m pip install ray")
    command = [str(python), "-m", "comfy_host.many_concepts", "--comfyui", str(tree)]
    command += ["--python", str(given_interpreter(options.python) or python), *extra]
    # Paths in the arguments are relative to where this was called.
    return _run(command, os.environ | {"PYTHONPATH": str(REPO)}, Path.cwd())


def _run(command: Sequence[str], variables: dict[str, str] | None = None, folder: Path = REPO) -> int:
    process = subprocess.Popen(command, cwd=folder, env=variables)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has told the child as well; it stops in its own time.
        return process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (demo, test, memory, host, concepts):
        text = function.__doc__
        command = commands.add_parser(function.__name__, description=text, help=text, allow_abbrev=False)
        command.set_defaults(run=function)
        command.add_argument("--comfyui", metavar="PATH", help="a ComfyUI folder; else DTI_COMFYUI, else our own")
        command.add_argument(
            "--python", metavar="FILE", help="an interpreter that has ComfyUI's packages; else DTI_PYTHON"
        )
        if function is memory:
            command.add_argument("--family", default="sdxl", help="sdxl (default), flux, sd3, chroma, z_image, ...")
        if function is demo:
            command.add_argument("--checkpoint", type=Path, metavar="FILE", help="your SDXL checkpoint")
            command.add_argument("--images", type=Path, metavar="FOLDER", help="your three to six images")
            command.add_argument("--initializer", metavar="WORD", help="an ordinary word for what they show")
    options, extra = parser.parse_known_args()
    if extra and options.run in (demo, memory):
        name = options.run.__name__
        parser.error(f"{name} does not know {' '.join(extra)}; see python run.py {name} --help")
    try:
        exit_code: int = options.run(options, extra)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
