"""Load Concept Folders: a folder of folders, each with the images and captions of a concept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from .concept_images.caption_file import placeholders, read_captions
from .concept_images.concept import Concept, Images, images_digest
from .concept_images.concept_folder import REPEATS, PictureFile, natural_key
from .concept_images.concept_name import named_by_folder
from .concept_images.picture_file import parse_colour, read_picture
from .concept_images.thumbnails import thumbnails
from .host.input_folder import concept_folder, concept_folders, input_fingerprint, input_folders
from .host.node_text import show_on_node
from .host.schema import search_aliases
from .sockets import DTIConcept, report_output
from .train_inputs import TEMPLATES

# Offered where there is none yet.
FOLDER = "my_concepts"


class DTILoadConceptFolders(io.ComfyNode):
    """Reads all that lies below a folder once, to say what is wrong before a night is spent on the rest."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_LoadConceptFolders",
            display_name="Load Concept Folders",
            category="DTI",
            **search_aliases("training images", "dataset", "load image folders", "concept list", "batch training"),
            description=(
                "Loads a folder in ComfyUI's input that has a folder for each concept, called by name and initializer "
                "('rex dog'), for Train Concepts or Train Concepts Together."
            ),
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=sorted({FOLDER, *input_folders()}, key=natural_key),
                    default=FOLDER,
                    tooltip="A folder in ComfyUI's input that has a folder with 3 to 6 images for each concept. Press "
                    "R to refresh the list.",
                ),
                io.String.Input(
                    "initializer",
                    default="",
                    tooltip="Initializer of concepts whose folder does not say one: 'rex dog' does, 'rex' does not. "
                    "Empty: such a folder is not trained.",
                ),
                io.Combo.Input(
                    "templates",
                    options=list(TEMPLATES),
                    default="object",
                    tooltip="Captions of images without a caption file, as in DTI Train: for subjects, or for styles.",
                ),
                io.String.Input(
                    "placeholder",
                    default="",
                    tooltip="What caption files call the subject, beside the name of its folder; separate several by "
                    "commas. It becomes {}, where the trained embedding goes.",
                ),
                io.String.Input(
                    "background",
                    default="white",
                    tooltip="Colour behind transparent parts: white, black, gray or #rrggbb.",
                ),
                io.Boolean.Input(
                    "masks_from_transparency",
                    default=False,
                    tooltip="Whether transparent parts are background, which counts background_weight in training. "
                    "Off: images count throughout.",
                ),
            ],
            outputs=[
                DTIConcept.Output(
                    display_name="concepts", is_output_list=True, tooltip="For the node that trains them."
                ),
                report_output("The concepts, and what is wrong with which, for Preview as Text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Before anything is loaded; by being here it also lets a folder through that came after the page."""
        try:
            if folder is not None:
                concept_folders(folder)
        except (OSError, ValueError) as error:
            show_on_node(str(error), cls.hidden.unique_id)
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, folder: str | None = None, **inputs: object) -> str:
        """By names, sizes and times of images and captions."""
        return input_fingerprint(folder, True)

    @classmethod
    def execute(
        cls,
        folder: str,
        initializer: str,
        templates: str,
        placeholder: str,
        background: str,
        masks_from_transparency: bool,
    ) -> io.NodeOutput:
        colour = parse_colour(background)
        found = [
            _concept(path, initializer.strip(), templates, placeholder, colour, masks_from_transparency)
            for path in concept_folders(folder)
        ]
        report = "\n".join(_summary(concept) for concept, _ in found)
        show_on_node(report, cls.hidden.unique_id)
        firsts = [first for _, first in found if first is not None]
        shown = ui.PreviewImage(torch.cat(firsts)) if firsts else None
        return io.NodeOutput([concept for concept, _ in found], report, ui=shown)


def _concept(
    folder: str, initializer: str, templates: str, placeholder: str, colour: tuple[int, int, int], masked: bool
) -> tuple[Concept, Tensor | None]:
    """Of one folder, with its first image, small. Where something is wrong with it, the concept says so."""
    called = folder.rpartition("/")[2]
    name, own = named_by_folder(called)
    stand_ins = [*placeholders(f"{called}, {name} {own}, {name}"), *placeholders(placeholder)]
    files: Sequence[PictureFile] = ()
    captions: list[str] = []
    repeats: list[int] = []
    digest, problem, first = "", "", None
    try:
        files = _files(folder)
        repeats = [file.repeats for file in files]
        captions = [read_captions(file, stand_ins) for file in files]
        if not own and not initializer:
            raise ValueError(
                f"The folder {called!r} does not say an initializer. Call it '{name} dog', where dog is an ordinary "
                "word for what its images show, or give one for all such folders in initializer."
            )
        pictures, subjects = _read(files, colour, masked)
        digest, first = images_digest(pictures, subjects, captions, repeats), thumbnails(pictures[:1])
    except (OSError, ValueError) as error:
        problem = str(error)
    read = partial(_read, files, colour, masked)
    concept = Concept(name, own or initializer, templates, captions, len(files), read, digest, problem, repeats)
    return concept, first


def _files(folder: str) -> Sequence[PictureFile]:
    """The images of a concept: those in its folder, and in subfolders that say how often theirs count."""
    below = concept_folder(folder, subfolders=True).pictures
    if not any(REPEATS.match(file.subfolder) for file in below):
        return concept_folder(folder, subfolders=False).pictures
    return [file for file in below if not file.subfolder or REPEATS.match(file.subfolder)]


def _read(files: Sequence[PictureFile], colour: tuple[int, int, int], masked: bool) -> Images:
    pictures = [read_picture(file.path, file.name, colour) for file in files]
    return [one.pixels for one in pictures], [1 - one.transparency for one in pictures] if masked else []


def _summary(concept: Concept) -> str:
    if concept.problem:
        return f"{concept.name}: not to be trained. {concept.problem}"
    without = sum(not caption for caption in concept.captions)
    templates = f", {without} without a caption: templates" if without else ""
    times = ", ".join(f"x{count}" for count in sorted(set(concept.repeats), reverse=True))
    repeats = f", repeats {times}" if len(set(concept.repeats)) > 1 else ""
    return f"{concept.name}: {concept.initializer}, {concept.n_images} images{repeats}{templates}"
