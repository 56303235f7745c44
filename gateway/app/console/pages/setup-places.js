// The places, while setting up: a list, and a form for a new one or for a change.

import { suggestId } from "../model/setup.js";
import { PLACE_KINDS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { choiceField, refused, removal, textField } from "../ui/fields.js";
import { problem, t } from "../ui/say.js";
import { devices, places, refreshSite } from "../ui/site.js";

/** The part of the page; `mark` shows whether it is done. */
export function placesPart(mark) {
  const list = h("ul", { class: "plain setup-list" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const holder = h("div", { class: "setup-form" });
  const draw = () =>
    replace(
      list,
      places().length > 0
        ? places().map((one) => row(one, { edit: () => open(one), remove: () => remove(one) }))
        : h("li", { class: "muted" }, t("setup.no_places")),
    );
  const remove = async (one) => {
    try {
      await ask(`/places/${encodeURIComponent(one.id)}`, { method: "DELETE" });
      await refreshSite();
      draw();
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  const open = (one) => {
    replace(holder, form(one, saved, () => open(null)));
    if (one) holder.querySelector("input").focus();
  };
  const saved = async (one, isNew) => {
    await refreshSite();
    if (isNew) location.hash = `#/setup/${encodeURIComponent(one.id)}`;
    draw();
    open(null);
  };
  draw();
  open(null);
  return h(
    "section",
    { class: "panel setup-part" },
    h("h2", {}, mark, t("setup.places")),
    failed,
    list,
    holder,
  );
}

function row(one, { edit, remove }) {
  const count = devices().filter((device) => device.place === one.id).length;
  return h(
    "li",
    { class: "setup-row" },
    h(
      "a",
      { class: "setup-open", href: `#/setup/${encodeURIComponent(one.id)}` },
      icon("place"),
      h(
        "span",
        {},
        h("strong", {}, one.name),
        h("span", { class: "muted" }, t("setup.place_count", { kind: t(`kind.${one.kind}`), count })),
      ),
    ),
    h(
      "div",
      { class: "setup-tools" },
      h(
        "button",
        { type: "button", class: "quiet", "aria-label": `${t("setup.change")}: ${one.name}`, on: { click: edit } },
        t("setup.change"),
      ),
      count === 0
        ? removal({
            text: t("setup.remove"),
            sure: t("setup.sure"),
            label: `${t("setup.remove")}: ${one.name}`,
            remove,
          })
        : null,
    ),
  );
}

/** For a new place, or for `one` that is there. */
function form(one, saved, cancel) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const name = textField("place-name", t("setup.name"), { value: one?.name, required: true });
  const kind = choiceField("place-kind", t("setup.kind"), PLACE_KINDS.map((of) => [of, t(`kind.${of}`)]), one?.kind);
  // Most of a gateway's places are in one grid.
  const grid = textField("place-grid", t("setup.grid"), { value: one?.grid ?? places().at(-1)?.grid, required: true });
  const address = textField("place-address", t("setup.address"), { value: one?.address });
  const id = one ? null : textField("place-id", t("setup.id"), { spellcheck: "false", autocapitalize: "none" });
  let typed = false;
  const suggest = () => {
    if (id && !typed) id.input.value = suggestId(name.input.value, kind.input.value, places().map((place) => place.id));
  };
  id?.input.addEventListener("input", () => (typed = id.input.value !== ""));
  for (const { input } of [name, kind]) input.addEventListener("input", suggest);
  suggest();
  const submit = async (event) => {
    event.preventDefault();
    const body = {
      name: name.input.value,
      kind: kind.input.value,
      grid: grid.input.value,
      address: address.input.value,
    };
    try {
      const path = one ? `/places/${encodeURIComponent(one.id)}` : "/places";
      if (!one) body.id = id.input.value;
      await saved(await ask(path, { method: one ? "PUT" : "POST", body }), !one);
    } catch (error) {
      refused(element, failed, error);
    }
  };
  const element = h(
    "form",
    { class: "setup-fields", novalidate: true, on: { submit } },
    h("h3", {}, t(one ? "setup.change_place" : "setup.add_place")),
    name.element,
    kind.element,
    grid.element,
    address.element,
    id?.element,
    failed,
    h("button", { class: "primary big" }, t(one ? "setup.save" : "setup.add_place")),
    one ? h("button", { type: "button", class: "quiet big", on: { click: cancel } }, t("setup.cancel")) : null,
  );
  return element;
}
