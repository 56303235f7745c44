// Icons of our own, drawn on 24 × 24. They repeat what a word beside them says, so they are hidden
// from screen readers.

import { s } from "./dom.js";

const LINES = {
  face_camera: [
    "M3 8V5a2 2 0 0 1 2-2h3M16 3h3a2 2 0 0 1 2 2v3M21 16v3a2 2 0 0 1-2 2h-3M8 21H5a2 2 0 0 1-2-2v-3",
    "M12 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM7.2 18a5 5 0 0 1 9.6 0",
  ],
  bracelet: [
    "M8 7.5h8a1.5 1.5 0 0 1 1.5 1.5v6a1.5 1.5 0 0 1-1.5 1.5H8A1.5 1.5 0 0 1 6.5 15V9A1.5 1.5 0 0 1 8 7.5Z",
    "M9 7.5 9.6 3h4.8l.6 4.5M9 16.5l.6 4.5h4.8l.6-4.5",
    "M9 12.2h1.3l1.1-2 1.5 3.6 1-1.6H15",
  ],
  smoke: [
    "M4 5h16M5.5 5v2.5A3.5 3.5 0 0 0 9 11h6a3.5 3.5 0 0 0 3.5-3.5V5",
    "M8 14.5c-1.5 1.5 1.5 2.5 0 5M12 14.5c-1.5 1.5 1.5 2.5 0 6M16 14.5c-1.5 1.5 1.5 2.5 0 5",
  ],
  gas: [
    "M12 3c.8 4 5.5 5.8 5.5 11a5.5 5.5 0 0 1-11 0c0-2.3 1.2-3.7 2.3-5 .2 1.6.8 2.5 1.7 3C10.8 9 11 6 12 3Z",
    "M12 19.5a2.3 2.3 0 0 1-2.3-2.3c0-1.4 1.3-2 2.3-3.4 1 1.4 2.3 2 2.3 3.4A2.3 2.3 0 0 1 12 19.5Z",
  ],
  electrical: ["M13 2.5 5 13.5h5.5L10 21.5l8.5-11.5H13z"],
  door: ["M6 21V4.5A1.5 1.5 0 0 1 7.5 3h9A1.5 1.5 0 0 1 18 4.5V21M3.5 21h17", "M14.5 11.5v2"],
  presence: [
    "M12 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM12 10.5c-2.5 0-4 1.5-4 4v2h2l.5 4.5h3L14 16.5h2v-2c0-2.5-1.5-4-4-4Z",
    "M5 5.5A9 9 0 0 0 5 15M19 5.5A9 9 0 0 1 19 15",
  ],
  sos: ["M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z", "M12 7v6M12 16.5v.1"],
  water: ["M12 3c3.5 4.5 6 7.6 6 11a6 6 0 0 1-12 0c0-3.4 2.5-6.5 6-11Z", "M9 14.5a3 3 0 0 0 3 3"],
  unknown: [
    "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z",
    "M9.5 9.5A2.5 2.5 0 0 1 12 7.5c1.5 0 2.5 1 2.5 2.3 0 1.7-2.5 1.9-2.5 3.7M12 16.5v.1",
  ],

  bell: ["M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15zM10 18.5a2 2 0 0 0 4 0"],
  board: ["M4 4.5h7v6H4zM13 4.5h7v10h-7zM4 12.5h7v7H4zM13 16.5h7v3h-7z"],
  devices: ["M3.5 10.5 12 4l8.5 6.5M5.5 9.5V20h13V9.5", "M12 16.5v.1M9.3 14a3.8 3.8 0 0 1 5.4 0"],
  sound_on: ["M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z", "M15 9a4 4 0 0 1 0 6M17.5 6.5a8 8 0 0 1 0 11"],
  sound_off: ["M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z", "m15.5 9.5 5 5M20.5 9.5l-5 5"],
  menu: ["M4 7h16M4 12h16M4 17h16"],
  back: ["M14.5 5.5 8 12l6.5 6.5"],
  next: ["m9.5 5.5 6.5 6.5-6.5 6.5"],
  check: ["m5 12.5 4.5 4.5L19 7.5"],
  person: ["M12 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM5 20a7 7 0 0 1 14 0"],
  up: ["M12 19V5M6 11l6-6 6 6"],
  clock: ["M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 7.5V12l3 2"],
  place: [
    "M12 21c4-4.5 6.5-7.7 6.5-11a6.5 6.5 0 0 0-13 0c0 3.3 2.5 6.5 6.5 11Z",
    "M12 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  ],
  cut: [
    "M8.5 8.5a5 5 0 0 0-.8 6.2M15.5 15.5a5 5 0 0 0 .8-6.2M5.5 5.5a9.2 9.2 0 0 0-.9 12M18.5 18.5a9.2 9.2 0 0 0 .9-12M4 4l16 16",
  ],
  wave: [
    "M12 12.1v-.1M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.5 18.5a9.2 9.2 0 0 1 0-13M18.5 5.5a9.2 9.2 0 0 1 0 13",
  ],
  heart: ["M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.5 4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10Z"],
  sheet: ["M6 3.5h8l4 4v13H6zM14 3.5v4h4", "M9 12h6M9 15.5h6"],
  camera: ["M4 8h3l1.5-2.5h7L17 8h3v11H4z", "M12 16.5a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.6Z"],
  code: ["M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2.5v2.5H14zM17.5 17.5H20V20h-2.5z"],
  search: ["M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 20 20"],
  send: ["M4 12h14M12.5 6.5 18 12l-5.5 5.5"],
  shield: ["M12 3.5 19 6v5.5c0 4.5-3 7.3-7 9-4-1.7-7-4.5-7-9V6z", "m9 12 2.2 2.2L15 10.3"],
};

/** A line icon. */
export function icon(name, extra = "") {
  const paths = LINES[name] ?? LINES.unknown;
  return s(
    "svg",
    { class: `icon ${extra}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    paths.map((d) => s("path", { d })),
  );
}

/** The filled shape of a severity: octagon, triangle, diamond, circle. */
export function severityShape(severity) {
  const shapes = {
    critical: "M8 1.5h8L22.5 8v8L16 22.5H8L1.5 16V8z",
    major: "M12 2 23 21.5H1z",
    minor: "M12 1 23 12 12 23 1 12z",
    notice: "M12 22.5a10.5 10.5 0 1 0 0-21 10.5 10.5 0 0 0 0 21Z",
  };
  const marks = {
    critical: "M12 6.5v6.8M12 17v.1",
    major: "M12 9v6M12 18v.1",
    minor: "M12 7.5v5.5M12 16.5v.1",
    notice: "M12 11v6M12 7.1V7",
  };
  return s(
    "svg",
    { class: "shape", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    s("path", { class: "shape-fill", d: shapes[severity] ?? shapes.notice }),
    s("path", { class: "shape-mark", d: marks[severity] ?? marks.notice }),
  );
}

/** A battery, filled as far as it is. */
export function battery(percent, low) {
  const full = Math.max(0, Math.min(100, percent));
  return s(
    "svg",
    { class: `battery${low ? " battery-low" : ""}`, viewBox: "0 0 26 14", "aria-hidden": "true", focusable: "false" },
    s("rect", { class: "battery-case", x: 1, y: 1, width: 21, height: 12, rx: 2.5 }),
    s("rect", { class: "battery-tip", x: 23.2, y: 4.5, width: 2, height: 5, rx: 1 }),
    s("rect", { class: "battery-fill", x: 3, y: 3, width: (17 * full) / 100, height: 8, rx: 1 }),
  );
}
