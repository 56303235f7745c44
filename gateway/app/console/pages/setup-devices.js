// The devices of a place, while setting up: by their code or typed; what lets each in; its label.

import { logsIn, suggestId, topicOf, typeFits } from "../model/setup.js";
import { CLASSES, PERSONS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { attempted, choiceField, refused, removal, textField } from "../ui/fields.js";
import { icon } from "../ui/icons.js";
import { qrCode } from "../ui/qr.js";
import { say, t } from "../ui/say.js";
import { scanner } from "../ui/scan.js";
import { deviceName, devices, refreshSite } from "../ui/site.js";

/** The part of the page for one place; `about` is what the gateway offers, `mark` shows whether it is done. */
export function devicesOf(place, about, mark) {
  const list = h("ul", { class: "plain setup-list" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const told = h("div", { class: "setup-told", "aria-live": "polite" });
  const holder = h("div", { class: "setup-form" });
  const typeOf = (id) => about.types.find((type) => type.id === id);
  const draw = () => {
    const here = devices().filter((device) => device.place === place.id);
    const rows = here.map((device) =>
      row(device, {
        edit: () => open(device),
        remove: () => remove(device),
        renew: () => renew(device),
        label: () => label(device),
      }),
    );
    replace(list, rows.length > 0 ? rows : h("li", { class: "muted" }, t("setup.no_devices")));
  };
  const attempt = (work) => attempted(failed, work);
  const pathOf = (device) => `/devices/${encodeURIComponent(device.id)}`;
  const remove = (device) =>
    attempt(async () => {
      await ask(pathOf(device), { method: "DELETE" });
      await refreshSite();
      draw();
    });
  const tell = (element) => {
    replace(told, element);
    element.scrollIntoView({ block: "start" });
    element.querySelector("h3")?.focus({ preventScroll: true });
  };
  const close = () => replace(told);
  const renew = (device) =>
    attempt(async () => {
      const credential = await ask(`${pathOf(device)}/secret`, { method: "POST" });
      tell(credentialCard(device, credential, typeOf(device.type), close));
    });
  const label = (device) =>
    attempt(async () => tell(labelCard(device, place, await ask(`${pathOf(device)}/label`), close)));
  const open = (device) => {
    replace(holder, form(device, { place, about, saved, cancel: () => open(null) }));
    if (device) holder.scrollIntoView({ block: "start" });
  };
  const saved = async (answer) => {
    await refreshSite();
    draw();
    open(null);
    if (!answer.device) return;
    const { device, credential } = answer;
    const type = typeOf(device.type);
    if (credential) return tell(credentialCard(device, credential, type, close));
    const topic = type ? topicOf(type, device) : "";
    tell(h("p", { class: "setup-good" }, t("setup.by_broker", { id: device.id, topic })));
  };
  draw();
  open(null);
  return h(
    "section",
    { class: "panel setup-part" },
    h("h2", {}, mark, t("setup.devices_of", { place: place.name })),
    told,
    failed,
    list,
    holder,
  );
}

function row(device, { edit, remove, renew, label }) {
  const tool = (key, click) =>
    h("button", { type: "button", class: "quiet", "aria-label": `${t(key)}: ${device.id}`, on: { click } }, t(key));
  return h(
    "li",
    { class: "setup-row" },
    h(
      "div",
      { class: "setup-open" },
      icon(device.class ?? "unknown"),
      h(
        "span",
        {},
        h("strong", {}, deviceName(device.id)),
        h("span", { class: "muted" }, `${device.id} · ${device.type}`),
      ),
    ),
    h(
      "div",
      { class: "setup-tools" },
      tool("setup.change", edit),
      tool("setup.label", label),
      tool("setup.renew", renew),
      removal({ text: t("setup.remove"), sure: t("setup.sure"), label: `${t("setup.remove")}: ${device.id}`, remove }),
    ),
  );
}

/** For a new device, or for `one` that is there. */
function form(one, { place, about, saved, cancel }) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const asWritten = { spellcheck: "false", autocapitalize: "none" };
  const id = one ? null : textField("device-id", t("setup.device_id"), asWritten);
  const classes = [["", t("setup.any_class")], ...CLASSES.map((of) => [of, t(`class.${of}`)])];
  const sensorClass = choiceField("device-class", t("setup.class"), classes, one?.class ?? "");
  const search = textField("device-find", t("setup.find_type"), { type: "search" });
  const type = choiceField("device-type", t("setup.type"), []);
  const none = h("p", { class: "muted", role: "status" });
  const spot = textField("device-spot", t("setup.spot"), { value: one?.spot });
  const known = textField("device-known_as", t("setup.known_as"), { value: one?.known_as, ...asWritten });
  // Who fits devices does not see whom one cares for: "?" leaves it as it is.
  const keeps = one && !one.person ? [["?", t("setup.person_kept")]] : [];
  const people = [...keeps, ["", t("setup.nobody")], ...PERSONS.map((of) => [of, t(`person.${of}`)])];
  const cared = one ? (one.person ?? "?") : "";
  const person = place.kind === "home" ? choiceField("device-person", t("setup.person"), people, cared) : null;
  const logs = h("input", { type: "checkbox", id: "device-logs_in" });
  const chosenType = () => about.types.find((each) => each.id === type.input.value);
  const follow = () => {
    const now = chosenType();
    logs.checked = now ? logsIn(now) : false;
  };
  const offer = (wanted = type.input.value) => {
    const fitting = about.types.filter((each) => typeFits(each, sensorClass.input.value, search.input.value));
    const option = (each) => h("option", { value: each.id }, say(each.label));
    replace(type.input, fitting.map(option));
    replace(none, fitting.length === 0 ? t("setup.no_type") : "");
    if (fitting.some((each) => each.id === wanted)) type.input.value = wanted;
    follow();
  };
  for (const { input } of [sensorClass, search]) input.addEventListener("input", () => offer());
  type.input.addEventListener("change", follow);
  offer(one?.type ?? "ninewatch-smoke");
  const take = (code) => {
    id.input.value = code.id;
    if (code.known_as) known.input.value = code.known_as;
    if (code.type) {
      sensorClass.input.value = search.input.value = "";
      offer(code.type);
    }
  };
  const submit = async (event) => {
    event.preventDefault();
    const body = { type: type.input.value, place: place.id, spot: spot.input.value, known_as: known.input.value };
    if (person && person.input.value !== "?") body.person = person.input.value || null;
    try {
      if (one) return await saved(await ask(`/devices/${encodeURIComponent(one.id)}`, { method: "PUT", body }));
      const all = devices().map((device) => device.id);
      const stem = `${place.id}-${chosenType()?.class ?? "device"}`;
      body.id = id.input.value.trim() || suggestId(spot.input.value, stem, all);
      body.secret = logs.checked;
      await saved(await ask("/devices", { method: "POST", body }));
    } catch (error) {
      refused(element, failed, error);
    }
  };
  const element = h(
    "form",
    { class: "setup-fields", novalidate: true, on: { submit } },
    h("h3", {}, t(one ? "setup.change_device" : "setup.add_device")),
    one ? null : scanner({ id: "device-scan", take }),
    id?.element,
    sensorClass.element,
    search.element,
    type.element,
    none,
    spot.element,
    person?.element,
    known.element,
    one ? null : h("label", { class: "setup-check", for: logs.id }, logs, t("setup.logs_in")),
    failed,
    h("button", { class: "primary big" }, t(one ? "setup.save" : "setup.add_device")),
    one ? h("button", { type: "button", class: "quiet big", on: { click: cancel } }, t("setup.cancel")) : null,
  );
  return element;
}

/** What lets a device in: nobody can ask for it again. */
function credentialCard(device, credential, type, close) {
  const said = h("span", { role: "status" });
  const copy = async () => {
    // Over plain HTTP browsers have no clipboard.
    const copied = await navigator.clipboard?.writeText(credential.secret).then(() => true, () => false);
    replace(said, t(copied ? "setup.copied" : "setup.not_copied"));
  };
  const fact = (key, text) => (text ? [h("dt", {}, t(key)), h("dd", {}, h("code", {}, text))] : null);
  return h(
    "div",
    { class: "setup-card setup-good" },
    h("h3", { tabindex: "-1" }, t("setup.credential", { id: device.id })),
    h(
      "dl",
      {},
      fact("setup.server", credential.server),
      fact("setup.user", credential.username),
      fact("setup.secret", credential.secret),
      fact("setup.topic", type ? topicOf(type, device) : null),
    ),
    credential.code ? qrCode(credential.code, t("setup.credential_code")) : null,
    h("button", { type: "button", class: "quiet big", on: { click: copy } }, t("setup.copy")),
    said,
    h("button", { type: "button", class: "primary big", on: { click: close } }, t("setup.noted")),
  );
}

/** What is stuck on the device: no secret. */
function labelCard(device, place, label, close) {
  return h(
    "div",
    { class: "setup-card" },
    h(
      "div",
      { class: "device-label" },
      qrCode(label.code, t("setup.label_code")),
      h(
        "div",
        {},
        h("strong", { class: "device-label-id" }, device.id),
        [place.name, device.spot, device.type].filter(Boolean).map((text) => h("span", {}, text)),
      ),
    ),
    h("button", { type: "button", class: "primary big no-print", on: { click: () => print() } }, t("setup.print")),
    h("button", { type: "button", class: "quiet big no-print", on: { click: close } }, t("setup.cancel")),
  );
}
