"""Load Concept Images: the images and captions of a folder, as training will see them."""

from __future__ import annotations

from comfy_api.latest import io, ui

from .concept_images.caption_file import placeholders, read_captions
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
                io.Boolean.Input("subfolders", default=False, tooltip="Whether to load the images of subfolders too."),
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
        names = [file.name for file in found.pictures]
        report = _summary(names, pictures, captions, found.others)
        show_on_node(report, cls.hidden.unique_id)
        return io.NodeOutput(
            [picture.pixels.unsqueeze(0) for picture in pictures],
            [picture.transparency.unsqueeze(0) for picture in pictures],
            captions,
            report,
            ui=ui.PreviewImage(thumbnails([picture.pixels for picture in pictures])),
        )


def _summary(names: list[str], pictures: list[Picture], captions: list[str], others: tuple[str, ...]) -> str:
    """How many there are, then one line for each image."""
    without = captions.count("")
    lines = [f"{len(names)} images" + (f", {without} without a caption: templates" if without else "")]
    if others:
        lines.append(f"not used: {', '.join(others)}")
    for name, picture, caption in zip(names, pictures, captions, strict=True):
        height, width = picture.transparency.shape
        lines.append(", ".join([f"{name}: {width} x {height}", *picture.notes]) + (f"\n  {caption}" if caption else ""))
    return "\n".join(lines)
