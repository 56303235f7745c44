// The walk-test: from device to device with a phone, and the certificate in the end.

import { isEnough, lacking, nextDevice, progress, remaining, standing, waitedFor } from "../model/walk.js";
import { ticking } from "../model/format.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, moment, now, problem, span, t } from "../ui/say.js";
import { devices, onSite, placeName, places } from "../ui/site.js";
import { certificate } from "./walk-certificate.js";

/** While a device has its turn, and otherwise: who walks sees no alerts, so has no live feed. */
const SOON_MS = 1000;
const LATER_MS = 5000;

/** Shows all walk-tests, or the one with this id, in `root`; gives the way to leave it. */
export function walkPage(root, id, query = new URLSearchParams()) {
  return id ? one(root, id, query.get("sha256")) : list(root);
}

function list(root) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const choice = h("fieldset", { class: "walk-places" });
  const rows = h("ul", { class: "plain walk-list" });
  const chosen = new Set();
  const begin = h("button", { class: "primary big", disabled: true }, t("walk.start"));
  const drawPlaces = () => {
    const count = (place) => devices().filter((device) => device.place === place.id).length;
    const box = (place) => {
      const input = h("input", {
        type: "checkbox",
        checked: chosen.has(place.id),
        on: {
          change: () => {
            if (input.checked) chosen.add(place.id);
            else chosen.delete(place.id);
            begin.disabled = chosen.size === 0;
          },
        },
      });
      return h("label", { class: "walk-place" }, input, t("walk.place", { name: place.name, count: count(place) }));
    };
    replace(choice, h("legend", {}, t("walk.places")), places().filter((place) => count(place) > 0).map(box));
  };
  const row = (test) => {
    const due = moment(test.due_at_ms);
    const done = { done: test.passed + test.failed, all: test.devices };
    const said = !test.finished
      ? t("walk.row_open", done)
      : test.due_at_ms < now()
        ? t("walk.row_due", { due })
        : t("walk.row_done", { passed: test.passed, failed: test.failed, due });
    const names = test.places.map((place) => place.name).join("、");
    return h(
      "li",
      {},
      h(
        "a",
        { class: "panel walk-row", href: `#/walk/${test.id}` },
        h("strong", {}, names),
        h("span", { class: "muted" }, `${moment(test.begun_at_ms)} · ${test.by}`),
        h("span", {}, said),
      ),
    );
  };
  const may = mayDo("POST", "/walk-tests");
  const submit = async (event) => {
    event.preventDefault();
    begin.disabled = true;
    try {
      const test = await ask("/walk-tests", { method: "POST", body: { places: [...chosen] } });
      location.hash = `#/walk/${test.id}`;
    } catch (error) {
      replace(failed, problem(error));
      begin.disabled = false;
    }
  };
  replace(
    root,
    h(
      "div",
      { class: "walk" },
      h("h1", { tabindex: "-1" }, t("walk.title")),
      h("p", { class: "muted" }, t("walk.more")),
      failed,
      may ? h("form", { class: "panel walk-begin", on: { submit } }, choice, begin) : null,
      h("h2", {}, t("walk.former")),
      rows,
    ),
  );
  drawPlaces();
  ask("/walk-tests").then(
    ({ walk_tests: tests }) =>
      replace(rows, tests.length > 0 ? tests.map(row) : h("li", { class: "muted" }, t("walk.none"))),
    (error) => replace(failed, problem(error)),
  );
  return onSite(drawPlaces);
}

function one(root, id, sha256) {
  const path = `/walk-tests/${encodeURIComponent(id)}`;
  const failed = h("p", { class: "form-error", role: "alert" });
  const box = h("div", { class: "walk-body" });
  const clock = h("p", { class: "walk-clock", role: "timer" });
  /** What is written stays while the rest is drawn anew. */
  const written = new Map();
  let [test, chosen, drawn, timer, left] = [null, null, "", null, false];

  const take = (fresh) => {
    test = fresh;
    replace(failed);
    draw();
  };
  const load = async () => {
    clearTimeout(timer);
    try {
      const fresh = await ask(path);
      if (left) return;
      take(fresh);
    } catch (error) {
      if (!left) replace(failed, problem(error));
    }
    if (left || test?.certificate) return;
    const soon = test?.devices.some((spot) => standing(spot) === "turn");
    timer = setTimeout(load, soon ? SOON_MS : LATER_MS);
  };
  const tell = async (sub, body) => {
    try {
      take(await ask(`${path}${sub}`, { method: "POST", body }));
    } catch (error) {
      replace(failed, problem(error));
      failed.scrollIntoView({ block: "nearest" });
    }
    load();
  };
  const step = (device, body) => tell(`/devices/${encodeURIComponent(device)}`, body);
  const reasonOf = (key, label) => {
    if (!written.has(key)) {
      const input = h("input", { type: "text", maxlength: "200", autocomplete: "off", id: `reason-${key}` });
      written.set(key, input);
    }
    const input = written.get(key);
    return { input, field: h("div", { class: "roster-field" }, h("label", { for: input.id }, t(label)), input) };
  };
  const tick = () => {
    const spot = test?.devices.find((each) => standing(each) === "turn");
    const time = spot ? remaining(spot, test.longest_turn_ms, now()) : 0;
    replace(clock, !spot ? "" : time > 0 ? t("walk.left", { time: ticking(time) }) : t("walk.over"));
  };
  const draw = () => {
    tick();
    const mark = JSON.stringify([{ ...test, now_ms: 0 }, chosen]);
    if (mark === drawn) return;
    drawn = mark;
    if (test.certificate) return replace(box, certificate(test, sha256));
    const active = document.activeElement?.id;
    const may = mayDo("POST", `${path}/finish`);
    const device = chosen ?? nextDevice(test);
    const spot = test.devices.find((each) => each.device === device);
    const choose = (next) => {
      chosen = next;
      draw();
      box.querySelector(".walk-card")?.scrollIntoView({ block: "start" });
    };
    replace(
      box,
      h("p", { class: "walk-progress" }, t("walk.progress", progress(test))),
      spot ? card(spot, { may, step: (body) => moveOn(spot, body), clock, reasonOf }) : null,
      h("h2", {}, t("walk.devices")),
      h("ol", { class: "plain walk-devices" }, test.devices.map((each) => item(each, each.device === device, choose))),
      desk(test, may ? reasonOf : null),
      may ? ending(test, written, (body) => tell("/finish", body)) : null,
    );
    if (active?.startsWith("reason-")) document.getElementById(active)?.focus();
  };
  const moveOn = (spot, body) => {
    // The next one follows by itself.
    chosen = body.step === "begin" ? spot.device : null;
    return step(spot.device, body);
  };
  replace(
    root,
    h(
      "div",
      { class: "walk" },
      h("a", { class: "back no-print", href: "#/walk" }, icon("back"), t("walk.back")),
      h("h1", { tabindex: "-1", class: "no-print" }, t("walk.title")),
      failed,
      box,
    ),
  );
  load();
  const ticker = setInterval(tick, SOON_MS);
  return () => {
    left = true;
    clearTimeout(timer);
    clearInterval(ticker);
  };
}

function nameOf(spot) {
  const sensor = spot.class ? t(`class.${spot.class}`) : spot.type;
  return spot.spot ? `${sensor} · ${spot.spot}` : sensor;
}

/** The device that is at hand: what to do, what has come of it, and how to go on. */
function card(spot, { may, step, clock, reasonOf }) {
  const stands = standing(spot);
  const button = (text, body, primary) =>
    h("button", { type: "button", class: primary ? "primary big" : "quiet big", on: { click: () => step(body) } }, text);
  const { input, field } = reasonOf(spot.device, "walk.reason");
  const fail = (event) => {
    event.preventDefault();
    if (input.value.trim()) step({ step: "fail", reason: input.value.trim() });
    else input.focus();
  };
  const turn = stands === "turn";
  return h(
    "section",
    { class: `panel walk-card walk-${stands}`, "aria-live": "polite" },
    h("p", { class: "muted" }, t("walk.at", { place: placeName(spot.place), device: nameOf(spot) })),
    h("p", { class: "walk-press" }, t(`press.${spot.class ?? "other"}`)),
    turn ? clock : null,
    spot.turn_at_ms === null ? null : came(spot),
    !may
      ? null
      : h(
          "div",
          { class: "walk-buttons" },
          turn
            ? isEnough(spot)
              ? button(t("walk.pass"), { step: "end" }, true)
              : button(t("walk.end"), { step: "end" })
            : button(t(stands === "waiting" ? "walk.begin" : "walk.again"), { step: "begin" }, stands === "waiting"),
          turn && !isEnough(spot) ? button(t("walk.again"), { step: "begin" }) : null,
        ),
    may && stands !== "passed" && stands !== "failed"
      ? h("form", { class: "walk-fail", on: { submit: fail } }, field, h("button", {}, t("walk.fail")))
      : null,
    spot.reason ? h("p", {}, spot.reason) : null,
  );
}

/** What has come of a turn. */
function came(spot) {
  const { alert, battery_percent: battery, signal_dbm: dbm } = spot.measured;
  const turn = standing(spot) === "turn";
  const said = {
    signal: [() => t("walk.signal"), () => t(turn ? "walk.signal_waits" : "walk.signal_none")],
    alert: [() => alertSaid(alert), () => t(turn ? "walk.alert_waits" : "walk.alert_none")],
  };
  const line = ({ step, there }) =>
    h(
      "li",
      { class: there ? "is-there" : "is-waited-for" },
      icon(there ? "check" : turn ? "clock" : "cut"),
      said[step][there ? 0 : 1](),
    );
  return [
    h(
      "ul",
      { class: "plain walk-came" },
      waitedFor(spot).map(line),
      battery === null ? null : h("li", {}, t("walk.battery", { value: Math.round(battery) })),
      dbm === null ? null : h("li", {}, t("walk.strength", { value: Math.round(dbm) })),
    ),
    turn && alert ? h("p", { class: "muted" }, t("walk.quiet")) : null,
  ];
}

function alertSaid({ number, severity, ready_ms: ready }) {
  const words = { number, severity: t(`severity.${severity}`) };
  return ready === null ? t("walk.alert_untimed", words) : t("walk.alert", { ...words, time: `${ready} ms` });
}

function item(spot, isChosen, choose) {
  const stands = standing(spot);
  return h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        class: `walk-item walk-${stands}`,
        "aria-current": isChosen ? "step" : null,
        on: { click: () => choose(spot.device) },
      },
      icon(stands === "passed" ? "check" : (spot.class ?? "unknown")),
      h("span", { class: "walk-item-name" }, `${placeName(spot.place)} · ${nameOf(spot)}`),
      h("span", { class: "walk-item-state" }, t(`walk.of_${stands}`)),
    ),
  );
}

/** How far alerts of the test went: upstreams and the duty room; `reasonOf` where somebody may say why it is done without. */
function desk(test, reasonOf) {
  const { duty, upstreams } = lacking(test);
  const by = test.duty_room;
  const state = (one) => t(one.receipted ? "walk.receipted" : one.connected ? "walk.connected" : "walk.cut");
  return [
    h(
      "section",
      { class: "panel walk-desk" },
      h("h2", {}, t("walk.duty")),
      by
        ? h(
            "p",
            {},
            t("walk.duty_done", { by: by.accepted_by, number: by.number, time: span(by.accepted_ms) }),
          )
        : h("p", { class: "muted" }, t("walk.duty_waits")),
      duty ? reasonOf?.("duty_room", "walk.without").field : null,
    ),
    test.upstreams.map((one) =>
      h(
        "section",
        { class: "panel walk-desk" },
        h("h2", {}, t("walk.upstream", { name: one.name })),
        h("p", { class: one.receipted ? "" : "muted" }, state(one)),
        upstreams.includes(one.name) ? reasonOf?.(`upstream:${one.name}`, "walk.without").field : null,
      ),
    ),
  ];
}

function ending(test, written, finish) {
  const ready = () => {
    const reasons = {};
    for (const of of test.lacks) {
      const reason = of.startsWith("device:") ? "" : (written.get(of)?.value.trim() ?? "");
      if (reason) reasons[of] = reason;
    }
    return { reasons, left: test.lacks.filter((of) => !(of in reasons)).length };
  };
  const said = h("p", { role: "status" });
  const click = () => {
    const { reasons, left } = ready();
    if (left > 0) replace(said, t("walk.unfinished", { count: left }));
    else finish({ reasons });
  };
  return h(
    "div",
    { class: "walk-ending" },
    said,
    h("button", { type: "button", class: "primary big", on: { click } }, icon("sheet"), t("walk.finish")),
  );
}
