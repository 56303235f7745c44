// The audit log: who looked at what of people, who did what, and whether its chain holds.

import { dayStart } from "../model/history.js";
import { knows } from "../model/text.js";
import { DEEDS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { moment, offset, problem, t } from "../ui/say.js";

const PAGE = 100;
/** What is looked for. It stays while one goes elsewhere and back. */
const filter = { who: "", what: "", since: "" };

/** Shows the page in `root`; gives the way to leave it. */
export function auditPage(root) {
  let entries = [];
  let next = null;
  let question = 0;
  const parts = {
    chain: h("p", { class: "audit-chain", role: "status" }),
    head: h("p", { class: "muted audit-head" }),
    rows: h("tbody"),
    note: h("p", { class: "muted", role: "status" }),
    failed: h("p", { class: "form-error", role: "alert" }),
    more: h("button", { type: "button", hidden: true, on: { click: () => load(next) } }, t("history.more")),
  };
  const load = async (before) => {
    const mine = ++question;
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const name of ["who", "what"]) if (filter[name].trim()) query.set(name, filter[name].trim());
    if (filter.since) query.set("since_ms", String(dayStart(filter.since, offset())));
    if (before) query.set("before", before);
    try {
      const page = await ask(`/audit?${query}`);
      if (mine !== question) return;
      entries = before ? [...entries, ...page.entries] : page.entries;
      next = page.next_before;
      replace(parts.failed);
      replace(parts.rows, entries.map(row));
      replace(parts.note, entries.length === 0 ? t("audit.none") : t("history.count", { count: entries.length }));
      replace(parts.head, t("audit.head", { head: page.head }));
      parts.more.hidden = !next;
    } catch (error) {
      if (mine === question) replace(parts.failed, problem(error));
    }
  };
  const check = async (event) => {
    event.target.disabled = true;
    replace(parts.chain, t("app.loading"));
    try {
      const { holds, found } = await ask("/audit/check");
      parts.chain.className = `audit-chain ${holds ? "is-whole" : "is-broken"}`;
      replace(parts.chain, icon(holds ? "check" : "cut"), holds ? t("audit.holds") : t("audit.broken", { found }));
    } catch (error) {
      replace(parts.chain, problem(error));
    }
    event.target.disabled = false;
  };
  const field = (label, control) =>
    h("label", { class: "history-choice" }, h("span", { class: "muted" }, label), control);
  const bound = (tag, name, props, ...children) => {
    const change = () => {
      filter[name] = control.value;
      load();
    };
    const control = h(tag, { ...props, on: { change } }, ...children);
    control.value = filter[name];
    return control;
  };
  replace(
    root,
    h(
      "div",
      { class: "history audit" },
      h("div", { class: "history-head" }, h("h1", { tabindex: "-1" }, t("audit.title")), parts.note),
      h(
        "div",
        { class: "history-filter" },
        field(t("audit.who"), bound("input", "who", { type: "search", autocomplete: "off", spellcheck: "false" })),
        field(
          t("audit.what"),
          bound(
            "select",
            "what",
            {},
            h("option", { value: "" }, t("history.any")),
            DEEDS.map((deed) => h("option", { value: deed }, t(`deed.${deed}`))),
          ),
        ),
        field(t("history.from"), bound("input", "since", { type: "date" })),
        h("button", { type: "button", on: { click: check } }, t("audit.check")),
      ),
      parts.chain,
      parts.failed,
      h(
        "div",
        { class: "wide-table panel", tabindex: "0", role: "region", "aria-label": t("audit.title") },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["audit.when", "audit.who", "audit.what", "audit.of", "audit.result", "audit.from"].map(heading),
            ),
          ),
          parts.rows,
        ),
      ),
      h("div", { class: "history-foot" }, parts.more),
      parts.head,
    ),
  );
  load();
  return () => (question += 1);
}

function heading(key) {
  return h("th", { scope: "col" }, t(key));
}

function row({ seq, at_ms: at, who, from, what, of, result }) {
  const [group] = what.split(".");
  const key = `deed.${group}`;
  return h(
    "tr",
    { class: result === "ok" ? "" : "is-refused" },
    h("td", { title: String(seq) }, h("time", {}, moment(at, true))),
    h("td", {}, who),
    h("td", {}, knows(key) ? t(key) : "", " ", h("code", {}, what)),
    h("td", { class: "audit-of" }, of),
    h("td", {}, result),
    h("td", {}, from),
  );
}
