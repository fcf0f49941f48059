"""The authors' protocol on SDXL: python -m benchmarks.dreambooth RUN --checkpoint FILE --images FOLDER --comfyui FOLDER

Run it in the repository's folder with the Python of that ComfyUI. RUN keeps trainings, images, scores and report.md;
call it again to go on where it stopped. docs/protocol.md says what is done.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.dreambooth.protocol import PUBLISHED, ROWS, Protocol
from comfy_host.environment import SetupError, comfyui_tree, comfyui_version
from comfy_host.in_process import use_host

log = logging.getLogger("benchmarks.dreambooth")
# Settings of the protocol that a trial may lower.
TRIAL = {
    "steps": "training steps",
    "batch_size": "images per training step",
    "resolution": "of training images, in pixels",
    "prompts": "the first so many of each subject's 41, 0 for all",
    "seeds": "images per prompt",
    "size": "of generated images, in pixels",
    "sampling_steps": "steps of the sampler",
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.device.startswith("cuda:"):
        os.environ["CUDA_VISIBLE_DEVICES"] = options.device.removeprefix("cuda:")  # before torch looks
    warnings.simplefilter("ignore")  # what the host's packages say while they load
    try:
        _check_there(options)
        protocol = Protocol(**{name: getattr(options, name) for name in TRIAL})
        tree = comfyui_tree(options.comfyui)
        import torch

        if options.device not in ("auto", "cpu") and not _has_gpu():
            raise ValueError(f"--device is {options.device}, and this torch ({torch.__version__}) sees no GPU.")
        use_host(tree, cpu=options.device == "cpu" or not _has_gpu())
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", force=True)
        log.setLevel(logging.INFO)
        with torch.inference_mode():
            _run(options, protocol, comfyui_version(tree))
    except (SetupError, ValueError, OSError) as error:
        raise SystemExit(f"\n{error}") from error
    except KeyboardInterrupt as error:
        raise SystemExit("\nStopped. The same command goes on from here.") from error


def _run(options: argparse.Namespace, protocol: Protocol, comfyui: str) -> None:
    import torch
    import transformers

    from benchmarks.dreambooth import sdxl
    from benchmarks.dreambooth.judges import ImageJudge, TextJudge, folder_of
    from benchmarks.dreambooth.making import make_images
    from benchmarks.dreambooth.report import report
    from benchmarks.dreambooth.results import Results
    from benchmarks.dreambooth.scoring import score_images
    from benchmarks.dreambooth.subjects import check_pictures, find_subjects

    subjects = find_subjects(options.images, options.subjects, options.masks)
    check_pictures(subjects)
    judges = None
    if options.dino:
        image_judge = ImageJudge(folder_of(options.dino, options.download))
        judges = image_judge, TextJudge(folder_of(options.siglip, options.download))
    log.info("%d subjects, %d methods", len(subjects), len(options.methods))
    results = Results(options.run, protocol, options.checkpoint)
    if not options.score_only:
        make_images(results, lambda: sdxl.SDXL(options.checkpoint), subjects, options.methods, options.together)
    if judges is None:
        log.info("All images are there. Call again with --dino and --siglip to score them.")
        return
    sdxl.make_room()
    for judge in judges:
        judge.to(sdxl.device())
    scores = score_images(results, *judges, subjects, options.methods)
    facts = [
        f"checkpoint {options.checkpoint.name}; judges {Path(options.dino).name}, {Path(options.siglip).name}",
        f"{sdxl.device_name()}, ComfyUI {comfyui}, torch {torch.__version__}, transformers {transformers.__version__}",
        ", ".join(f"{name} {value}" for name, value in vars(protocol).items()),
    ]
    results.save_report(report(scores, [subject.name for subject in subjects], options.methods, facts))
    log.info("Wrote %s.", results.report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dreambooth", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("run", type=_path, metavar="RUN", help="folder for all that comes out")
    parser.add_argument("--checkpoint", type=_path, required=True, metavar="FILE", help="SDXL, as ComfyUI loads it")
    parser.add_argument(
        "--images", type=_path, required=True, metavar="FOLDER", help="DreamBooth's: a folder per subject"
    )
    parser.add_argument("--masks", type=_path, metavar="FOLDER", help="SUBJECT/IMAGE.png, white where the subject is")
    parser.add_argument("--subjects", nargs="+", default=[], metavar="NAME", help="folders; all, if none is named")
    parser.add_argument(
        "--methods", nargs="+", choices=ROWS, default=PUBLISHED, help=f"of {', '.join(ROWS)}; the first four"
    )
    parser.add_argument("--dino", metavar="FOLDER", help="files of facebook/dinov2-base")
    parser.add_argument("--siglip", metavar="FOLDER", help="files of google/siglip-base-patch16-512")
    parser.add_argument("--download", action="store_true", help="--dino and --siglip may be ids on Hugging Face's Hub")
    parser.add_argument("--score-only", action="store_true", help="make nothing, and score what is whole")
    parser.add_argument("--comfyui", metavar="FOLDER", help="a ComfyUI folder; else DTI_COMFYUI, else our own")
    parser.add_argument(
        "--device", default="auto", metavar="DEVICE", help="cpu, cuda or cuda:1; a GPU, if there is one"
    )
    parser.add_argument("--together", type=int, default=4, metavar="N", help="images denoised together, 4")
    trial = parser.add_argument_group("another protocol than the authors', for a trial")
    defaults = {field.name: field.default for field in fields(Protocol)}
    for name, meaning in TRIAL.items():
        text = f"{meaning}; {defaults[name]}"
        trial.add_argument(f"--{name.replace('_', '-')}", type=int, default=defaults[name], metavar="N", help=text)
    return parser


def _check_there(options: argparse.Namespace) -> None:
    """Raise ValueError for what can be said before anything is loaded."""
    for path, is_there in (
        (options.checkpoint, Path.is_file),
        (options.images, Path.is_dir),
        (options.masks, Path.is_dir),
    ):
        if path is not None and not is_there(path):
            raise ValueError(f"{path} is not there.")
    if bool(options.dino) != bool(options.siglip):
        raise ValueError("Give both --dino and --siglip, or neither: then images are made and not scored.")
    if options.score_only and not options.dino:
        raise ValueError("--score-only needs --dino and --siglip.")
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", options.device):
        raise ValueError(f"--device is {options.device!r}; give cpu, cuda, or cuda:1 for the second card.")
    if options.together < 1:
        raise ValueError(f"--together is {options.together}; give 1 or more.")


def _has_gpu() -> bool:
    import torch

    kinds = (torch.cuda, getattr(torch, "xpu", None), torch.backends.mps)
    return any(kind is not None and kind.is_available() for kind in kinds)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


if __name__ == "__main__":
    main()
