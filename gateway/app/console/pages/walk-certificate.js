// The certificate of a walk-test, for the screen and for paper: in both languages, whatever the console speaks.

import { sentence } from "../model/text.js";
import { certified, onPaper } from "../model/walk.js";
import { h } from "../ui/dom.js";
import { offset, t } from "../ui/say.js";

/** The certificate of a finished test; `sha256` as the code on a printed one names it. */
export function certificate(test, sha256) {
  const { trust, document: paper } = certified(test, sha256);
  const time = (ms) => onPaper(ms, offset());
  const place = (id) => paper.places.find((one) => one.id === id)?.name ?? id;
  const code = `/api/v1/walk-tests/${encodeURIComponent(test.id)}/code.svg?origin=${encodeURIComponent(location.origin)}`;
  const heads = ["paper.place", "paper.device", "paper.result", "paper.ready", "paper.state", "paper.tested"];
  const row = (spot) => {
    const { alert, battery_percent: battery, signal_dbm: dbm } = spot.measured;
    const state = [battery === null ? null : `${Math.round(battery)}%`, dbm === null ? null : `${Math.round(dbm)} dBm`];
    const tested = [spot.tested_by ?? "—", spot.turn_at_ms === null ? null : time(spot.turn_at_ms)];
    return h(
      "tr",
      { class: spot.passed ? "" : "paper-failed" },
      h("th", { scope: "row" }, place(spot.place)),
      h("td", {}, spot.class ? both(`class.${spot.class}`) : spot.type, h("span", {}, ` ${spot.spot} `), h("small", {}, spot.device)),
      h("td", {}, both(spot.passed ? "walk.of_passed" : "walk.of_failed"), spot.reason ? h("p", {}, spot.reason) : null),
      h("td", {}, alert && alert.ready_ms !== null ? `${alert.ready_ms} ms` : "—"),
      h("td", {}, state.filter(Boolean).join(" / ") || "—"),
      h("td", {}, tested.filter(Boolean).join(" · ")),
    );
  };
  const upstream = (one) =>
    fact(
      both("walk.upstream", { name: one.name }),
      one.receipted
        ? both("walk.receipted")
        : both("paper.not_tried", { reason: paper.reasons[`upstream:${one.name}`] ?? "" }),
    );
  const by = paper.duty_room;
  return [
    h("button", { type: "button", class: "primary no-print", on: { click: () => print() } }, t("walk.print")),
    h(
      "p",
      { class: `walk-trust is-${trust} no-print`, role: "status" },
      { valid: t("paper.valid"), forged: t("paper.forged"), other: t("paper.other") }[trust],
    ),
    h(
      "article",
      { class: "paper" },
      h("h2", {}, both("paper.title")),
      h("p", { class: "paper-outcome" }, both(paper.passed ? "paper.passed" : "paper.reserved")),
      h(
        "dl",
        { class: "paper-facts" },
        fact(both("paper.gateway"), `${paper.gateway} · Ninewatch ${paper.software}`),
        paper.places.map((one) => fact(both("paper.place"), `${one.name} · ${one.grid} · ${one.address}`)),
        fact(
          both("walk.duty"),
          by
            ? `${by.accepted_by} · ${(by.accepted_ms / 1000).toFixed(1)} s`
            : both("paper.not_tried", { reason: paper.reasons.duty_room ?? "" }),
        ),
        paper.upstreams.length > 0
          ? paper.upstreams.map(upstream)
          : fact(both("walk.upstream", { name: "" }), both("paper.no_upstream")),
        fact(both("paper.finished"), `${paper.finished_by} · ${time(paper.finished_at_ms)}`),
        fact(both("paper.due"), time(paper.due_at_ms).slice(0, 10)),
      ),
      h(
        "div",
        { class: "wide-table", tabindex: "0" },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, both(head))))),
          h("tbody", {}, paper.devices.map(row)),
        ),
      ),
      h(
        "div",
        { class: "paper-seal" },
        h("img", { class: "paper-code", src: code, alt: t("paper.code"), width: "160", height: "160" }),
        h(
          "dl",
          { class: "paper-facts" },
          fact(both("paper.hash"), h("code", {}, test.certificate.sha256)),
          fact(both("paper.signature"), h("code", {}, test.certificate.signature)),
        ),
      ),
    ),
  ];
}

function fact(name, value) {
  return [h("dt", {}, name), h("dd", {}, value)];
}

/** A sentence in Chinese with the English beside it; once, where they are the same. */
function both(key, values) {
  const [zh, en] = [sentence("zh", key, values), sentence("en", key, values)];
  if (zh === en) return h("span", {}, zh);
  return h("span", { class: "both" }, h("span", { lang: "zh-CN" }, zh), " ", h("span", { lang: "en", class: "both-en" }, en));
}
