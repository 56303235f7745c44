// Codes by a phone's camera: a picture is taken by the system's own camera, made gray and small, and read by the gateway.

import { fitted, gray } from "../model/setup.js";
import { ask, Refused } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { problem, t } from "./say.js";

/** The gateway takes no larger ones. */
const LONGEST_SIDE = 1280;

async function grayOf(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Refused(0, { code: "no_picture" });
  }
  const { width, height } = fitted(bitmap.width, bitmap.height, LONGEST_SIDE);
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, blob: new Blob([gray(data)], { type: "application/octet-stream" }) };
}

/** What a code says, for people. */
export function codeSaid(code) {
  return t(`scan.${code.kind}`, { id: code.id ?? "", text: code.text ?? "" });
}

/** A button that takes a picture; `take` gets the code that was found, or chosen of several. */
export function scanner({ id, take }) {
  const said = h("p", { class: "scan-said", role: "status" });
  const choice = h("div", { class: "scan-choice" });
  const input = h("input", { id, type: "file", accept: "image/*", capture: "environment", class: "visually-hidden" });
  const chosen = (code) => {
    replace(choice);
    replace(said, codeSaid(code));
    if (code.id && code.kind !== "node") take(code);
  };
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    replace(choice);
    replace(said, t("setup.scanning"));
    try {
      const { width, height, blob } = await grayOf(file);
      const { codes } = await ask(`/setup/scan?width=${width}&height=${height}`, { method: "POST", body: blob });
      if (codes.length === 0) replace(said, t("setup.no_code"));
      else if (codes.length === 1) chosen(codes[0]);
      else {
        replace(said, t("setup.several"));
        const button = (code) =>
          h("button", { type: "button", class: "quiet big", on: { click: () => chosen(code) } }, codeSaid(code));
        replace(choice, codes.map(button));
      }
    } catch (error) {
      replace(said, problem(error));
    } finally {
      // The same picture again is a choice, too.
      input.value = "";
    }
  });
  return h(
    "div",
    { class: "scan photo-picker" },
    input,
    h("label", { class: "button primary big", for: id }, icon("camera"), t("setup.scan")),
    h("p", { class: "muted" }, t("setup.scan_more")),
    said,
    choice,
  );
}
