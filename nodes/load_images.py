"""Load Concept Images: the images and captions of a folder, as training will see them."""

from __future__ import annotations

from collections import Counter

from comfy_api.latest import io, ui

from .concept_images.caption_file import placeholders, read_captions
from .concept_images.concept_folder import ConceptFolder
from .concept_images.picture_file import Picture, parse_colour, read_picture
from .concept_images.thumbnails import thumbnails
from .host.input_folder import FIRST_FOLDER, concept_folder, input_fingerprint, input_folders
from .host.node_text import show_on_node
from .host.schema import search_aliases
from .sockets import report_output


class DTILoadConceptImages(io.ComfyNode):
    """Reads a folder below the host's `input`, and is run again when a file in it has changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_LoadConceptImages",
            display_name="Load Concept Images",
            category="DTI",
            **search_aliases("training images", "dataset", "load image folder", "captions"),
            description=(
                "Loads the images of a folder in ComfyUI's input, upright and in order, with the captions in text "
                "files beside them. Drop images onto the node to upload them."
            ),
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=input_folders(),
                    default=FIRST_FOLDER,
                    tooltip="A folder in ComfyUI's input with 3 to 6 images of one subject or style. "
                    "Press R to refresh the list.",
                ),
                io.String.Input(
                    "placeholder",
                    default="",
                    tooltip="The words for the subject in caption files, such as 'ohwx dog' or 'dog'; separate several "
                    "by commas. They become {}, where the trained embedding goes. Empty: the captions have {} already, "
                    "or there are none.",
                ),
                io.Boolean.Input(
                    "subfolders",
                    default=False,
                    tooltip="Whether to load the images of subfolders too. A number in front of a subfolder's name, as "
                    "in 10_dog, is how often its images count: connect repeats.",
                ),
                io.String.Input(
                    "background",
                    default="white",
                    tooltip="Colour behind transparent parts: white, black, gray or #rrggbb.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", is_output_list=True, tooltip="The images in order, each in its own size."
                ),
                io.Mask.Output(
                    display_name="masks",
                    is_output_list=True,
                    tooltip="One for each image: 1 where it is transparent, 0 elsewhere, as in Load Image.",
                ),
                io.String.Output(
                    display_name="captions",
                    is_output_list=True,
                    tooltip="One for each image, {} where the embedding goes; empty where there is no caption file.",
                ),
                report_output("Names, sizes and captions of the images, for Preview as Text."),
                io.Int.Output(
                    display_name="repeats",
                    is_output_list=True,
                    tooltip="How often each image counts: 10 in a subfolder called 10_dog, 1 where there is no number.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Before anything is loaded; by being here it also lets a folder through that came after the page."""
        try:
            # Whether subfolders count is not known here: the host shows a message once for each named input.
            if folder is not None:
                concept_folder(folder, subfolders=True)
        except (OSError, ValueError) as error:
            # Newer pages keep what is returned here behind a click and a hint.
            show_on_node(str(error), cls.hidden.unique_id)
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, folder: str | None = None, placeholder: str = "", subfolders: bool | None = None, background: str = "white"
    ) -> str:
        """By names, sizes and times of pictures and captions."""
        return input_fingerprint(folder, subfolders)

    @classmethod
    def execute(
        cls, folder: str, placeholder: str = "", subfolders: bool = False, background: str = "white"
    ) -> io.NodeOutput:
        found = concept_folder(folder, subfolders)
        colour, stand_ins = parse_colour(background), placeholders(placeholder)
        captions = [read_captions(file, stand_ins) for file in found.pictures]
        pictures = [read_picture(file.path, file.name, colour) for file in found.pictures]
        report = _summary(found, pictures, captions)
        show_on_node(report, cls.hidden.unique_id)
        return io.NodeOutput(
            [picture.pixels.unsqueeze(0) for picture in pictures],
            [picture.transparency.unsqueeze(0) for picture in pictures],
            captions,
            report,
            [file.repeats for file in found.pictures],
            ui=ui.PreviewImage(thumbnails([picture.pixels for picture in pictures])),
        )


def _summary(found: ConceptFolder, pictures: list[Picture], captions: list[str]) -> str:
    """How many there are, then one line for each image."""
    without = captions.count("")
    lines = [f"{len(pictures)} images" + (f", {without} without a caption: templates" if without else "")]
    lines += [f"{line}; connect repeats to DTI Train" for line in _repeats(found)]
    if found.others:
        lines.append(f"not used: {', '.join(found.others)}")
    for file, picture, caption in zip(found.pictures, pictures, captions, strict=True):
        height, width = picture.transparency.shape
        line = ", ".join([f"{file.name}: {width} x {height}", *picture.notes])
        lines.append(line + (f"\n  {caption}" if caption else ""))
    return "\n".join(lines)


def _repeats(found: ConceptFolder) -> list[str]:
    """How often the images of each subfolder count, where that differs; a line or none."""
    if len({file.repeats for file in found.pictures}) == 1:
        return []
    counts = Counter((file.subfolder, file.repeats) for file in found.pictures)
    parts = [
        f"{count} image{'s' * (count > 1)} " + (f"of {name!r} x{repeats}" if name else "x1")
        for (name, repeats), count in counts.items()
    ]
    return [f"repeats: {', '.join(parts)}"]
