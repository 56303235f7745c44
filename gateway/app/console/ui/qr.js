// QR codes, drawn of what the gateway says is dark.

import { s } from "./dom.js";

/** The code as a picture with this name. */
export function qrCode({ size, path }, name) {
  return s(
    "svg",
    { class: "qr", viewBox: `0 0 ${size} ${size}`, "shape-rendering": "crispEdges", role: "img", "aria-label": name },
    s("rect", { width: size, height: size, fill: "#fff" }),
    s("path", { d: path, fill: "#000" }),
  );
}
