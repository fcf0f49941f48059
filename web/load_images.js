// Uploads images and their caption files into a folder of the host's input, by a button or dropped onto the node.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const CAPTION = /\.(txt|caption)$/i;
const PICTURE = /\.(png|apng|jpe?g|jpe|jfif|mpo|webp|gif|bmp|tiff?|tga|jp2|avif|heic|heif|jxl)$/i;

const stem = (name) => name.replace(/\.[^.]*$/, "");

async function post(file, name, folder, overwrite) {
  const body = new FormData();
  body.append("image", file, name);
  body.append("subfolder", folder);
  if (overwrite) body.append("overwrite", "true");
  const answer = await api.fetchApi("/upload/image", { method: "POST", body });
  if (answer.status !== 200) throw new Error(`${name} was not uploaded: ${answer.status} ${answer.statusText}`);
  return (await answer.json()).name;
}

async function upload(node, files) {
  const pictures = files.filter((file) => PICTURE.test(file.name));
  const captions = files.filter((file) => CAPTION.test(file.name));
  const widget = node.widgets.find((widget) => widget.name === "folder");
  const answer = await app.extensionManager.dialog.prompt({
    title: `Upload ${pictures.length} images`,
    message: "Folder in ComfyUI's input",
    defaultValue: widget.value || "my_concept",
  });
  const folder = answer?.trim().replaceAll("\\", "/").replace(/^\/+|\/+$/g, "");
  if (!folder) return;
  try {
    // Where a name is taken by another image the host numbers the new one, and its caption has to follow.
    const names = new Map();
    for (const file of pictures) names.set(stem(file.name), stem(await post(file, file.name, folder, false)));
    for (const file of captions) {
      const own = stem(file.name);
      await post(file, (names.get(own) ?? own) + file.name.slice(own.length), folder, true);
    }
  } catch (error) {
    app.extensionManager.toast.add({ severity: "error", summary: "Upload images", detail: String(error.message) });
  }
  await app.refreshComboInNodes();
  widget.value = folder;
  widget.callback?.(folder);
  app.graph.setDirtyCanvas(true, true);
}

app.registerExtension({
  name: "DTI.LoadConceptImages",
  nodeCreated(node) {
    if (node.comfyClass !== "DTI_LoadConceptImages") return;
    const chosen = Object.assign(document.createElement("input"), {
      type: "file",
      multiple: true,
      accept: "image/*,.heic,.heif,.avif,.jxl,.txt,.caption",
      onchange: () => {
        const files = [...chosen.files];
        chosen.value = "";
        upload(node, files);
      },
    });
    const button = node.addWidget("button", "upload images", null, () => chosen.click(), { serialize: false });
    button.serialize = false;
    node.onDragOver = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === "file");
    node.onDragDrop = (event) => {
      const files = [...(event.dataTransfer?.files ?? [])];
      const wanted = files.some((file) => PICTURE.test(file.name) || CAPTION.test(file.name));
      if (wanted) upload(node, files);
      return wanted;
    };
  },
});
