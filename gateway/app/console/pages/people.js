// Residents' records, and for the admin what is kept of persons and the proofs of what was deleted.

import { NEEDS, RETENTION_KINDS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { mayDo, moment, now, problem, t } from "../ui/say.js";
import { onSite, placeName, places } from "../ui/site.js";

const DAY_MS = 86_400_000;

/** Shows the page in `root`; gives the way to leave it. */
export function peoplePage(root) {
  let left = false;
  const failed = h("p", { class: "form-error", role: "alert" });
  const list = h("ul", { class: "plain channels" });
  const add = h("div");
  const kept = h("section", { "aria-labelledby": "retention-title" });
  replace(
    root,
    h(
      "div",
      { class: "devices" },
      h("h1", { tabindex: "-1" }, t("resident.list_title")),
      h("p", { class: "muted" }, t("resident.list_hint")),
      failed,
      list,
      add,
      kept,
    ),
  );
  let residents = [];
  const draw = () => {
    if (left) return;
    const none = h("li", { class: "muted loading" }, t("resident.list_none"));
    replace(list, residents.length > 0 ? residents.map((one) => row(one, { remove, leave })) : none);
  };
  const load = async () => {
    try {
      const asked = mayDo("GET", "/retention") ? ask("/retention") : null;
      const [records, retention] = await Promise.all([ask("/residents"), asked]);
      if (left) return;
      ({ residents } = records);
      replace(failed);
      draw();
      if (retention) drawRetention(kept, retention);
    } catch (error) {
      if (!left) replace(failed, problem(error));
    }
  };
  const change = async (sure, what) => {
    if (!confirm(sure)) return;
    try {
      await what();
      await load();
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  const remove = ({ id, name }) =>
    change(t("resident.delete_sure", { name }), () => ask(`/residents/${id}`, { method: "DELETE" }));
  const leave = ({ id, name, place }) =>
    change(t("resident.leave_sure", { name }), async () => {
      // The list is masked: the record itself is asked for.
      const { residents: there } = await ask(`/places/${encodeURIComponent(place)}/residents`);
      const { id: _, ...record } = there.find((one) => one.id === id) ?? {};
      await ask(`/residents/${id}`, { method: "PUT", body: { ...record, left_at_ms: Math.round(now()) } });
    });
  const form = () => {
    if (!left && mayDo("POST", "/residents") && places().length > 0 && add.childElementCount === 0)
      replace(add, recordForm(load));
  };
  // Homes have names from then on.
  const stop = onSite(() => {
    form();
    draw();
  });
  form();
  load();
  return () => {
    left = true;
    stop();
  };
}

function row(resident, { remove, leave }) {
  const { name, place, phone, contacts = [], needs = [], note, left_at_ms: leftAt } = resident;
  const calls = [phone, ...contacts.map((one) => [one.name, one.relation, one.phone].filter(Boolean).join(" "))].filter(
    Boolean,
  );
  return h(
    "li",
    { class: "panel channel" },
    h(
      "div",
      { class: "channel-main" },
      h(
        "h2",
        {},
        name,
        " ",
        h("span", { class: "muted" }, placeName(place)),
        " ",
        leftAt ? h("span", { class: "tag" }, t("resident.left")) : null,
      ),
      h(
        "p",
        {},
        needs.map((need) => h("span", { class: "tag tag-need" }, t(`need.${need}`))),
      ),
      h("p", { class: "muted" }, calls.join(" · ")),
      note ? h("p", {}, note) : null,
    ),
    mayDo("DELETE", `/residents/${resident.id}`)
      ? h(
          "div",
          { class: "grid-buttons" },
          leftAt ? null : h("button", { type: "button", on: { click: () => leave(resident) } }, t("resident.leave")),
          h(
            "button",
            { type: "button", "aria-label": t("resident.delete_of", { name }), on: { click: () => remove(resident) } },
            t("resident.delete"),
          ),
        )
      : null,
  );
}

function recordForm(done) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const input = (name, props) => h("input", { id: `resident-${name}`, autocomplete: "off", maxlength: "40", ...props });
  const fields = {
    name: input("name", { required: true }),
    phone: input("phone", { type: "tel", maxlength: "30" }),
    contact_name: input("contact_name"),
    contact_relation: input("contact_relation", { maxlength: "20" }),
    contact_phone: input("contact_phone", { type: "tel", maxlength: "30" }),
    note: input("note", { maxlength: "200" }),
  };
  const homes = places().filter((place) => place.kind === "home");
  const place = h(
    "select",
    { id: "resident-place", required: true },
    (homes.length > 0 ? homes : places()).map((one) => h("option", { value: one.id }, one.name)),
  );
  const needs = NEEDS.map((need) =>
    h("label", { class: "check" }, h("input", { type: "checkbox", value: need }), t(`need.${need}`)),
  );
  const labelled = (name, field) =>
    h("div", { class: "field" }, h("label", { for: field.id }, t(`resident.${name}`)), field);
  const button = h("button", { type: "submit", class: "primary" }, t("resident.save"));
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const text = (field) => field.value.trim();
    const contact = {
      name: text(fields.contact_name),
      relation: text(fields.contact_relation),
      phone: text(fields.contact_phone),
    };
    const body = {
      place: place.value,
      name: text(fields.name),
      phone: text(fields.phone),
      contacts: contact.name || contact.phone ? [contact] : [],
      needs: [...event.target.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value),
      note: text(fields.note),
    };
    button.disabled = true;
    try {
      await ask("/residents", { method: "POST", body });
      form.reset();
      replace(failed);
      await done();
    } catch (error) {
      replace(failed, problem(error));
    } finally {
      button.disabled = false;
    }
  };
  return h(
    "details",
    { class: "panel record-form" },
    h("summary", {}, t("resident.add")),
    h(
      "form",
      { on: { submit } },
      h(
        "div",
        { class: "fields" },
        labelled("place", place),
        Object.entries(fields).map(([name, field]) => labelled(name, field)),
      ),
      h("fieldset", { class: "needs" }, h("legend", {}, t("resident.needs")), needs),
      failed,
      button,
    ),
  );
}

function drawRetention(box, { rules, proofs }) {
  const rule = ({ kind, keeps_ms: keeps, held, next_ms: next }) => [
    h("dt", {}, t(`retention.${kind}`)),
    h(
      "dd",
      {},
      t("retention.rule", { days: Math.round(keeps / DAY_MS), held }),
      next ? ` · ${t("retention.next", { time: moment(next) })}` : "",
    ),
  ];
  const ordered = RETENTION_KINDS.flatMap((kind) => rules.filter((one) => one.kind === kind));
  replace(
    box,
    h("h2", { id: "retention-title" }, t("retention.title")),
    h("dl", { class: "facts panel retention" }, ordered.map(rule)),
    h("h3", {}, t("retention.proofs")),
    proofs.length > 0
      ? h(
          "ol",
          { class: "plain proofs" },
          [...proofs]
            .reverse()
            .map((one) =>
              h(
                "li",
                {},
                h("time", {}, moment(one.at_ms)),
                ` #${one.seq} ${one.what} `,
                h("code", {}, one.sha256.map((hash) => hash.slice(0, 12)).join(" ")),
              ),
            ),
        )
      : h("p", { class: "muted" }, t("retention.no_proofs")),
  );
}
