// What devices measured, asked of the gateway and drawn.

import { ask } from "./api.js";
import { chart, momentList } from "./chart.js";
import { h, replace } from "./dom.js";
import { moment, problem, say, t } from "./say.js";

/** Later than this after what was asked for, what is known begins late. */
const LATE_MS = 60_000;

/**
 * Draws in `box` what `device` measured between two times, with `marks` on it. `wanted` says whether it still is. Gives
 * the code of a refusal.
 */
export async function drawReadings(box, device, { from, to, marks = [] }, wanted = () => true) {
  replace(box, h("p", { class: "muted" }, t("app.loading")));
  const query = new URLSearchParams({ from_ms: Math.round(from), to_ms: Math.round(to) });
  try {
    const { series, known_from_ms: known } = await ask(`/devices/${encodeURIComponent(device)}/readings?${query}`);
    if (!wanted()) return;
    const curves = series.map((one) => ({ ...one, threshold: null }));
    const shown = marks.filter(({ at }) => at >= known && at <= to);
    // Where nothing is known, nothing is drawn.
    const span = { marks: shown, from: known, until: to, told: true };
    replace(
      box,
      known > from + LATE_MS ? h("p", { class: "muted" }, t("readings.known_from", { time: moment(known) })) : null,
      curves.length === 0 ? h("p", { class: "muted" }, t("readings.none")) : null,
      shown.length > 1 && curves.length > 0 ? momentList(shown) : null,
      h(
        "div",
        { class: "charts" },
        curves.map((one) => chart([one], [say(one.label) || one.field], span)),
      ),
    );
  } catch (error) {
    if (wanted()) replace(box, h("p", { class: "form-error", role: "alert" }, problem(error)));
    return error.code;
  }
}
