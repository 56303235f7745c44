// Evidence drawn: one chart for a measured field, or for the channels of a burst that share a unit.
// It can be read with a pointer, with arrow keys, as a sentence, and as a table.

import { number, quantity, timeOfDay } from "../model/format.js";
import { domain, linear, ticks, timeTicks } from "../model/scale.js";
import { extremes, isSwitch, outline, thinned } from "../model/series.js";
import { h, replace, s } from "./dom.js";
import { offset, t } from "./say.js";

/** In rem: a wall screen has larger letters. */
const MARGIN = { top: 1.1, right: 0.9, bottom: 1.6, left: 3 };
const HEIGHT = { curve: 13, switch: 6.5 };
/** How much of the width stays free behind the last value, so that it can be seen. */
const ROOM = 0.025;
const ROWS = 40;

/**
 * A figure of `group` (series that share a chart, called `names`). `marks` are moments as `{at, key, by}`, by time: those
 * within what is drawn stand in it. It reaches to `until` at least, and begins at `from`, where they are given;
 * `told`: what its marks are stands elsewhere.
 */
export function chart(group, names, { marks = [], from, until, told = false } = {}) {
  const first = group[0];
  const span = { marks, from, until };
  const shown = within(group, span);
  const plot = h("div", {
    class: "plot",
    tabindex: "0",
    role: "group",
    "aria-label": `${summary(group, names)} ${t("chart.keys")}`,
  });
  const readout = h("output", { class: "readout" });
  const figure = h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      {},
      h(
        "span",
        { class: "legend" },
        group.map((series, index) =>
          h("span", { class: `key line-${index}` }, group.length > 1 ? swatch() : null, names[index]),
        ),
      ),
      first.unit ? h("span", { class: "unit" }, first.unit) : null,
      readout,
    ),
    plot,
    shown.length > 1 && !told ? momentList(shown) : null,
    h("p", { class: "visually-hidden" }, summary(group, names)),
    table(group, names),
  );
  let chosen = null;
  const draw = () => {
    if (plot.clientWidth > 0) replace(plot, picture(group, layout(group, span, plot.clientWidth), shown, chosen));
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
  plot.addEventListener("pointermove", (event) => choose(nearest(group, span, plot, event)));
  plot.addEventListener("pointerleave", () => choose(null));
  new ResizeObserver(draw).observe(plot);
  return figure;
}

function swatch() {
  return s(
    "svg",
    { class: "swatch", viewBox: "0 0 22 8", "aria-hidden": "true" },
    s("path", { class: "line", d: "M1 4h20" }),
  );
}

/** What the chart shows, as a sentence. */
function summary(group, names) {
  return group
    .map((series, index) => {
      const of = extremes(series);
      const value = (one) => (isSwitch(series) ? t(one ? "chart.on" : "chart.off") : quantity(one, series.unit));
      const sentence = t("chart.summary", {
        name: names[index],
        from: timeOfDay(of.from, offset()),
        to: timeOfDay(of.to, offset()),
        first: value(of.first),
        last: value(of.last),
        low: value(of.low),
        high: value(of.high),
      });
      const limit =
        series.threshold === null
          ? ""
          : t("chart.summary_threshold", { value: quantity(series.threshold, series.unit) });
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

/** Where everything comes to lie in a picture of this width. */
function layout(group, { marks, from: begin, until: end }, width) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const binary = group.every(isSwitch);
  const height = (binary ? HEIGHT.switch : HEIGHT.curve) * rem;
  const [left, right] = [MARGIN.left * rem, width - MARGIN.right * rem];
  const [top, bottom] = [MARGIN.top * rem, height - MARGIN.bottom * rem];
  const points = group[0].points;
  // What was found stands in its chart, also where the last value is older.
  const found = marks.find((mark) => mark.key === "chart.found")?.at ?? 0;
  const until = Math.max(points.at(-1)[0], end ?? found);
  const from = Math.min(points[0][0], until - 1000, begin ?? Infinity);
  const times = [from, until + (until - from) * ROOM];
  const values = group.flatMap((series) => series.points.map(([, value]) => value));
  const range = binary ? [-0.25, 1.35] : domain(values, group[0].threshold);
  return {
    rem,
    binary,
    width,
    height,
    left,
    right,
    top,
    bottom,
    until,
    times,
    range,
    x: linear(times, [left, right]),
    y: linear(range, [bottom, top]),
  };
}

/** The marks that lie within a chart. */
function within(group, span) {
  const { times } = layout(group, span, 1000);
  return span.marks.filter(({ at }) => at >= times[0] && at <= times[1]);
}

function picture(group, at, marks, chosen) {
  const { rem, binary, width, height, left, right, top, bottom, times, range, x, y } = at;
  const grid = binary ? [0, 1] : ticks(range[0], range[1], 4);
  const label = (value) => (binary ? t(value ? "chart.on" : "chart.off") : number(value));
  const beats = timeTicks(times[0], times[1], offset(), Math.max(3, Math.floor(width / (8 * rem))));
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", focusable: "false" },
    grid.map((value) => [
      s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { class: "tick tick-y", x: left - 0.5 * rem, y: y(value) }, label(value)),
    ]),
    beats.at
      .filter((time) => x(time) > left + rem && x(time) < right - rem)
      .map((time) => [
        s("line", { class: "grid grid-x", x1: x(time), x2: x(time), y1: top, y2: bottom }),
        s("text", { class: "tick tick-x", x: x(time), y: bottom + 1.15 * rem }, timeText(time, beats.step)),
      ]),
    limit(group[0], at),
    group.map((series, index) => curve(series, index, group.length, at)),
    marks.map((mark, index) => moment(x(mark.at), marks.length > 1 ? String(index + 1) : t(mark.key), at)),
    chosen === null ? null : cursor(group, chosen, at),
  );
}

/** The limit, and the side of it that the values went over to. */
function limit(series, { rem, y, left, right, top, bottom }) {
  const { threshold, points } = series;
  if (threshold === null) return null;
  const over = points.at(-1)[1] >= threshold;
  const crossed = points.some(([, value]) => value >= threshold !== over);
  const [from, to] = over ? [top, y(threshold)] : [y(threshold), bottom];
  return s(
    "g",
    { class: "limit" },
    crossed
      ? s("rect", { class: "beyond", x: left, y: from, width: right - left, height: Math.max(0, to - from) })
      : null,
    s("line", { x1: left, x2: right, y1: y(threshold), y2: y(threshold) }),
    s(
      "text",
      { x: left + 0.4 * rem, y: y(threshold) - 0.35 * rem },
      t("chart.threshold", { value: quantity(threshold, series.unit) }),
    ),
  );
}

function curve(series, index, count, { x, y, bottom, until }) {
  const points = outline(series, until).map(([at, value]) => [x(at), y(value)]);
  const d = points.map(([px, py], at) => `${at ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  const [start, end] = [points[0], points.at(-1)];
  return s(
    "g",
    { class: `line-${index}` },
    count === 1
      ? s("path", { class: "area", d: `${d}L${end[0].toFixed(1)} ${bottom}L${start[0].toFixed(1)} ${bottom}Z` })
      : null,
    s("path", { class: "line", d }),
    s("circle", { class: "dot", cx: end[0], cy: end[1], r: 4 }),
  );
}

/** What the numbers over a chart stand for. */
export function momentList(marks) {
  return h(
    "ol",
    { class: "moments" },
    marks.map(({ at, key, by }) =>
      h("li", {}, h("time", {}, timeOfDay(at, offset(), true)), ` ${t(key)}`, by ? ` · ${by}` : null),
    ),
  );
}

/** A moment, and what it is called; or its number, where several may stand close together. */
function moment(at, text, { rem, top, bottom, right }) {
  const line = s("line", { x1: at, x2: at, y1: top, y2: bottom });
  if (/^\d+$/.test(text)) {
    return s("g", { class: "found" }, line, s("text", { x: at, y: top - 0.3 * rem, "text-anchor": "middle" }, text));
  }
  const beside = at > right - 4 * rem;
  const size = 0.35 * rem;
  return s(
    "g",
    { class: "found" },
    line,
    s("path", { d: `M${at - size} ${top - 1.6 * size}h${2 * size}l${-size} ${1.6 * size}z` }),
    s(
      "text",
      { x: at + (beside ? -0.6 : 0.6) * rem, y: top - 0.15 * rem, "text-anchor": beside ? "end" : "start" },
      text,
    ),
  );
}

function cursor(group, index, { x, y, top, bottom }) {
  const at = group[0].points[index]?.[0];
  return s(
    "g",
    { class: "cursor" },
    s("line", { x1: x(at), x2: x(at), y1: top, y2: bottom }),
    group.map((series, one) =>
      s("circle", { class: `dot line-${one}`, cx: x(at), cy: y(series.points[index][1]), r: 5 }),
    ),
  );
}

/** The point that is nearest to the pointer. */
function nearest(group, span, plot, event) {
  const { x } = layout(group, span, plot.clientWidth);
  const at = event.clientX - plot.getBoundingClientRect().left;
  const away = (index) => Math.abs(x(group[0].points[index][0]) - at);
  let best = 0;
  for (let index = 1; index < group[0].points.length; index += 1) {
    if (away(index) < away(best)) best = index;
  }
  return best;
}

function table(group, names) {
  const count = group[0].points.length;
  const indexes = thinned(
    group[0].points.map((_, index) => index),
    ROWS,
  );
  const span = group[0].points.at(-1)[0] - group[0].points[0][0];
  const body = h("tbody");
  const details = h(
    "details",
    { class: "values" },
    h(
      "summary",
      {},
      h(
        "span",
        {},
        t("chart.table"),
        indexes.length < count ? ` ${t("chart.rows", { shown: indexes.length, count })}` : null,
      ),
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, t("chart.time")),
            names.map((name, index) =>
              h("th", { scope: "col" }, name, group[index].unit ? ` (${group[index].unit})` : ""),
            ),
          ),
        ),
        body,
      ),
    ),
  );
  // Many findings have many charts: rows are made when somebody wants them.
  details.addEventListener("toggle", () => {
    if (!details.open || body.childElementCount > 0) return;
    const row = (index) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, timeText(group[0].points[index][0], span < 10_000 ? 100 : 1000)),
        group.map((series) =>
          h(
            "td",
            {},
            isSwitch(series) ? t(series.points[index][1] ? "chart.on" : "chart.off") : number(series.points[index][1]),
          ),
        ),
      );
    body.append(...indexes.map(row));
  });
  return details;
}
