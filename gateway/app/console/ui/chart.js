// Evidence drawn: one chart for a measured field, or for the channels of a burst that share a unit.
// It can be read with a pointer, with arrow keys, as a sentence, and as a table.

import { number, quantity, timeOfDay } from "../model/format.js";
import { domain, linear, ticks, timeTicks } from "../model/scale.js";
import { extremes, isSwitch, outline, thinned } from "../model/series.js";
import { h, replace, s } from "./dom.js";
import { fieldName, offset, t } from "./say.js";

const MARGIN = { top: 14, right: 14, bottom: 26, left: 46 };
const ROWS = 40;

/** A figure of `group` (series that share a chart), with the moment `foundAt` marked. */
export function chart(group, foundAt) {
  const first = group[0];
  const names = group.map((series) => fieldName(series.field));
  const plot = h("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${summary(group)} ${t("chart.keys")}` });
  const readout = h("output", { class: "readout" });
  const figure = h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      {},
      h("span", { class: "legend" }, group.map((series, index) => h("span", { class: `key line-${index}` }, group.length > 1 ? swatch() : null, names[index]))),
      first.unit ? h("span", { class: "unit" }, first.unit) : null,
      readout,
    ),
    plot,
    h("p", { class: "visually-hidden" }, summary(group)),
    table(group, names),
  );
  let chosen = null;
  const draw = () => {
    if (plot.clientWidth > 0) replace(plot, picture(group, foundAt, plot.clientWidth, chosen));
  };
  const choose = (index) => {
    chosen = index;
    replace(readout, index === null ? null : spoken(group, names, index));
    draw();
  };
  const last = first.points.length - 1;
  plot.addEventListener("keydown", (event) => {
    const from = chosen ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to === null ? null : Math.max(0, Math.min(last, to)));
  });
  plot.addEventListener("pointermove", (event) => choose(nearest(group, foundAt, plot, event)));
  plot.addEventListener("pointerleave", () => choose(null));
  new ResizeObserver(draw).observe(plot);
  return figure;
}

function swatch() {
  return s("svg", { class: "swatch", viewBox: "0 0 22 8", "aria-hidden": "true" }, s("path", { class: "line", d: "M1 4h20" }));
}

/** What the chart shows, as a sentence. */
function summary(group) {
  return group
    .map((series) => {
      const of = extremes(series);
      const value = (one) => (isSwitch(series) ? t(one ? "chart.on" : "chart.off") : quantity(one, series.unit));
      const sentence = t("chart.summary", {
        name: fieldName(series.field),
        from: timeOfDay(of.from, offset()),
        to: timeOfDay(of.to, offset()),
        first: value(of.first),
        last: value(of.last),
        low: value(of.low),
        high: value(of.high),
      });
      const limit = series.threshold === null ? "" : t("chart.summary_threshold", { value: quantity(series.threshold, series.unit) });
      return sentence + limit;
    })
    .join(" ");
}

/** Seconds matter on a short stretch, tenths on a very short one. */
function timeText(at, step) {
  if (step < 1000) return `${timeOfDay(at, offset())}.${Math.floor((((at % 1000) + 1000) % 1000) / 100)}`;
  return timeOfDay(at, offset(), step < 60_000);
}

function spoken(group, names, index) {
  const at = group[0].points[index]?.[0];
  const values = group.map((series, one) => {
    const value = series.points[index]?.[1];
    const text = isSwitch(series) ? t(value ? "chart.on" : "chart.off") : quantity(value, series.unit);
    return group.length > 1 ? `${names[one]} ${text}` : text;
  });
  const span = group[0].points.at(-1)[0] - group[0].points[0][0];
  return `${timeText(at, span < 10_000 ? 100 : 1000)}  ${values.join(" · ")}`;
}

function scales(group, foundAt, width, height) {
  const points = group[0].points;
  const binary = group.every(isSwitch);
  const times = [points[0][0], Math.max(points.at(-1)[0], foundAt)];
  if (times[0] === times[1]) times[0] -= 1000;
  const values = group.flatMap((series) => series.points.map(([, value]) => value));
  const range = binary ? [-0.25, 1.35] : domain(values, group[0].threshold);
  return {
    times,
    range,
    x: linear(times, [MARGIN.left, width - MARGIN.right]),
    y: linear(range, [height - MARGIN.bottom, MARGIN.top]),
    binary,
  };
}

function picture(group, foundAt, width, chosen) {
  const height = group.every(isSwitch) ? 110 : 210;
  const { times, range, x, y, binary } = scales(group, foundAt, width, height);
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const grid = binary ? [0, 1] : ticks(range[0], range[1], 4).filter((value) => value >= range[0] && value <= range[1]);
  const label = (value) => (binary ? t(value ? "chart.on" : "chart.off") : number(value));
  const beats = timeTicks(times[0], times[1], offset(), Math.max(2, Math.floor(width / 130)));
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", focusable: "false" },
    grid.map((value) => [
      s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { class: "tick tick-y", x: left - 8, y: y(value) }, label(value)),
    ]),
    beats.at
      .filter((at) => x(at) > left + 4 && x(at) < right - 10)
      .map((at) => [
        s("line", { class: "grid grid-x", x1: x(at), x2: x(at), y1: top, y2: bottom }),
        s("text", { class: "tick tick-x", x: x(at), y: bottom + 18 }, timeText(at, beats.step)),
      ]),
    limit(group[0], { x, y, left, right, top, bottom }),
    group.map((series, index) => curve(series, index, group.length, { x, y, bottom, until: times[1] })),
    foundAt >= times[0] && foundAt <= times[1] ? found(x(foundAt), top, bottom, right) : null,
    chosen === null ? null : cursor(group, chosen, { x, y, top, bottom }),
  );
}

/** The limit, and the side of it that the last value is on. */
function limit(series, { y, left, right, top, bottom }) {
  const { threshold } = series;
  if (threshold === null) return null;
  const over = series.points.at(-1)[1] >= threshold;
  const [from, to] = over ? [top, y(threshold)] : [y(threshold), bottom];
  return s(
    "g",
    { class: "limit" },
    s("rect", { class: "beyond", x: left, y: from, width: right - left, height: Math.max(0, to - from) }),
    s("line", { x1: left, x2: right, y1: y(threshold), y2: y(threshold) }),
    s("text", { x: left + 6, y: y(threshold) + (over ? 15 : -6) }, t("chart.threshold", { value: quantity(threshold, series.unit) })),
  );
}

function curve(series, index, count, { x, y, bottom, until }) {
  const points = outline(series, until).map(([at, value]) => [x(at), y(value)]);
  const d = points.map(([px, py], at) => `${at ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  const [start, end] = [points[0][0].toFixed(1), points.at(-1)[0].toFixed(1)];
  return s(
    "g",
    { class: `line-${index}` },
    count === 1 ? s("path", { class: "area", d: `${d}L${end} ${bottom}L${start} ${bottom}Z` }) : null,
    s("path", { class: "line", d }),
    points.length === 1 ? s("circle", { class: "dot", cx: points[0][0], cy: points[0][1], r: 3.5 }) : null,
  );
}

function found(at, top, bottom, right) {
  const beside = at > right - 40;
  return s(
    "g",
    { class: "found" },
    s("line", { x1: at, x2: at, y1: top, y2: bottom }),
    s("path", { d: `M${at - 5} ${top - 8}h10l-5 8z` }),
    s("text", { x: at + (beside ? -9 : 9), y: top + 1, "text-anchor": beside ? "end" : "start" }, t("chart.found")),
  );
}

function cursor(group, index, { x, y, top, bottom }) {
  const at = group[0].points[index]?.[0];
  return s(
    "g",
    { class: "cursor" },
    s("line", { x1: x(at), x2: x(at), y1: top, y2: bottom }),
    group.map((series, one) => s("circle", { class: `dot line-${one}`, cx: x(at), cy: y(series.points[index][1]), r: 4 })),
  );
}

function nearest(group, foundAt, plot, event) {
  const box = plot.getBoundingClientRect();
  const { x } = scales(group, foundAt, plot.clientWidth, 210);
  const at = event.clientX - box.left;
  let best = 0;
  group[0].points.forEach(([time], index) => {
    if (Math.abs(x(time) - at) < Math.abs(x(group[0].points[best][0]) - at)) best = index;
  });
  return best;
}

function table(group, names) {
  const count = group[0].points.length;
  const indexes = thinned(group[0].points.map((_, index) => index), ROWS);
  const span = group[0].points.at(-1)[0] - group[0].points[0][0];
  const body = h("tbody");
  const details = h(
    "details",
    { class: "values" },
    h("summary", {}, t("chart.table"), indexes.length < count ? h("span", { class: "muted" }, ` ${t("chart.rows", { shown: indexes.length, count })}`) : null),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("chart.time")), names.map((name, index) => h("th", { scope: "col" }, name, group[index].unit ? ` (${group[index].unit})` : "")))),
        body,
      ),
    ),
  );
  // Many findings have many charts: rows are made when somebody wants them.
  details.addEventListener("toggle", () => {
    if (!details.open || body.childElementCount > 0) return;
    const row = (index) =>
      h("tr", {}, h("th", { scope: "row" }, timeText(group[0].points[index][0], span < 10_000 ? 100 : 1000)), group.map((series) => h("td", {}, isSwitch(series) ? t(series.points[index][1] ? "chart.on" : "chart.off") : number(series.points[index][1]))));
    body.append(...indexes.map(row));
  });
  return details;
}
