// Photos: made smaller in the browser before they are sent, chosen in a form, shown small with the way to the whole.

import { ask, Refused } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { moment, problem, t } from "./say.js";

/** Enough to read a label on a meter; some 300 KB. */
const LONGEST_SIDE = 1600;
const QUALITY = 0.82;

/** The picture of a file as a small JPEG on a canvas, upright. What the file says besides is gone with it. */
async function shrunk(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Refused(0, { code: "no_picture" });
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = h("canvas", {
    width: Math.max(1, Math.round(bitmap.width * scale)),
    height: Math.max(1, Math.round(bitmap.height * scale)),
    role: "img",
    "aria-label": t("photo.title"),
  });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  if (!blob) throw new Refused(0, { code: "no_picture" });
  return { canvas, blob };
}

/**
 * A field to choose up to `most` photos. `element` is the field; `send(path)` sends those that are not sent yet and gives
 * all answers in order.
 */
export function photoPicker({ id, most = 3 }) {
  const chosen = [];
  const failed = h("p", { class: "form-error", role: "alert" });
  const strip = h("ul", { class: "plain photo-strip" });
  const input = h("input", { id, type: "file", accept: "image/*", multiple: true, class: "visually-hidden" });
  const button = h("label", { class: "button", for: id }, icon("camera"), t("photo.add"));
  const draw = () => {
    button.hidden = input.disabled = chosen.length >= most;
    replace(
      strip,
      chosen.map((photo) =>
        h(
          "li",
          {},
          photo.canvas,
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              on: {
                click: () => {
                  chosen.splice(chosen.indexOf(photo), 1);
                  draw();
                },
              },
            },
            t("photo.remove"),
          ),
        ),
      ),
    );
  };
  input.addEventListener("change", async () => {
    const files = [...input.files].slice(0, most - chosen.length);
    replace(failed, files.length > 0 ? t("photo.reading") : "");
    try {
      for (const file of files) chosen.push(await shrunk(file));
      replace(failed);
    } catch (error) {
      replace(failed, problem(error));
    }
    input.value = "";
    draw();
  });
  draw();
  return {
    element: h(
      "div",
      { class: "photo-picker" },
      input,
      button,
      strip,
      failed,
      h("p", { class: "muted" }, t("photo.privacy")),
    ),
    send: async (path) => {
      for (const photo of chosen) photo.sent ??= await ask(path, { method: "POST", body: photo.blob });
      return chosen.map((photo) => photo.sent);
    },
  };
}

/** Photos of an alert, small; each leads to the whole picture. */
export function photoStrip(alert, photos) {
  if (photos.length === 0) return null;
  const one = (photo) => {
    const src = `/api/v1/alerts/${alert}/photos/${photo.id}`;
    const by = photo.by ?? t("matter.resident");
    return h(
      "li",
      {},
      h(
        "a",
        { href: src, target: "_blank", rel: "noopener" },
        h("img", {
          src,
          alt: t("photo.of", { time: moment(photo.at_ms) }),
          width: photo.width,
          height: photo.height,
          loading: "lazy",
        }),
      ),
      h("span", { class: "muted" }, t("photo.by", { by, time: moment(photo.at_ms) })),
    );
  };
  return h("ul", { class: "plain photo-strip" }, photos.map(one));
}
