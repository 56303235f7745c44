// Brokers beside the gateway, while setting up: which there are, what listens beside us, and the devices behind it.

import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { attempted, choiceField, refused, removal, textField } from "../ui/fields.js";
import { icon } from "../ui/icons.js";
import { mayDo, t } from "../ui/say.js";
import { places, refreshSite } from "../ui/site.js";

const BESIDE = "mqtt://127.0.0.1:1883";
/** What is read where Zigbee2MQTT is there. */
const ZIGBEE = "zigbee2mqtt/#";

/** The part of the page; `about` is what the gateway offers, `mark` shows whether it is done. */
export function brokersPart(about, mark) {
  const list = h("ul", { class: "plain setup-list" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const holder = h("div", { class: "setup-form" });
  const behind = h("div", { class: "setup-form" });
  const may = mayDo("POST", "/brokers");
  const attempt = (work) => attempted(failed, work);
  const draw = (brokers) => {
    const rows = brokers.map((one) =>
      row(one, may, {
        look: () => attempt(() => lookBehind({ name: one.name })),
        remove: () =>
          attempt(async () => {
            await ask(`/brokers/${encodeURIComponent(one.name)}`, { method: "DELETE" });
            replace(behind);
            await load();
          }),
      }),
    );
    replace(list, rows.length > 0 ? rows : h("li", { class: "muted" }, t("setup.no_brokers")));
  };
  const load = async () => draw((await ask("/brokers")).brokers);
  const lookBehind = async (at) => {
    replace(behind, h("p", { role: "status" }, t("setup.looking")));
    try {
      const found = await ask("/brokers/look", { method: "POST", body: at });
      replace(behind, found.devices.length > 0 ? zigbee(found, about) : h("p", {}, said(found)));
      behind.scrollIntoView({ block: "nearest" });
    } catch (error) {
      replace(behind);
      throw error;
    }
  };
  const added = async (one) => {
    await load();
    await attempt(() => lookBehind({ name: one.name }));
  };
  draw(about.brokers);
  if (may) replace(holder, form(added));
  return {
    element: h(
      "section",
      { class: "panel setup-part" },
      h("h2", {}, mark, t("setup.brokers")),
      h("p", { class: "muted" }, t("setup.brokers_more")),
      failed,
      list,
      holder,
      behind,
    ),
    draw,
  };
}

function row(one, may, { look, remove }) {
  const finds = `${t("setup.look_behind")}: ${one.name}`;
  const state = one.connected ? t("setup.connected") : t("setup.not_connected");
  return h(
    "li",
    { class: "setup-row" },
    h(
      "div",
      { class: "setup-open" },
      icon(one.connected ? "check" : "cut"),
      h(
        "span",
        {},
        h("strong", {}, one.name),
        h("span", { class: "muted" }, `${one.url} · ${state}`),
        one.trouble ? h("span", { class: "muted" }, one.trouble) : null,
        one.fixed ? h("span", { class: "muted" }, t("setup.fixed")) : null,
      ),
    ),
    may
      ? h(
          "div",
          { class: "setup-tools" },
          h("button", { type: "button", class: "quiet", "aria-label": finds, on: { click: look } }, t("setup.look_behind")),
          one.fixed
            ? null
            : removal({
                text: t("setup.remove"),
                sure: t("setup.sure"),
                label: `${t("setup.remove")}: ${one.name}`,
                remove,
              }),
        )
      : null,
  );
}

/** What was found at an address, in words. */
function said({ answer, zigbee2mqtt }) {
  if (answer !== "let_in") return t(`setup.${answer}`);
  return zigbee2mqtt ? t("setup.zigbee_empty", { version: zigbee2mqtt }) : t("setup.let_in");
}

/** Looks beside the gateway, and adds what is there. */
function form(added) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const found = h("p", { role: "status" });
  const url = textField("broker-url", t("setup.url"), { value: BESIDE, spellcheck: "false", autocapitalize: "none" });
  const user = textField("broker-username", t("setup.broker_user"), { autocapitalize: "none" });
  const password = textField("broker-password", t("setup.broker_password"), { type: "password", autocomplete: "off" });
  const name = textField("broker-name", t("setup.broker_name"), { value: "zigbee", autocapitalize: "none" });
  const filters = textField("broker-subscribe", t("setup.subscribe"), { value: ZIGBEE, autocapitalize: "none" });
  const at = () => ({
    url: url.input.value.trim(),
    username: user.input.value.trim() || null,
    password: password.input.value || null,
  });
  const look = async () => {
    replace(failed);
    replace(found, t("setup.looking"));
    try {
      const seen = await ask("/brokers/look", { method: "POST", body: at() });
      replace(
        found,
        seen.zigbee2mqtt
          ? t("setup.zigbee_there", { version: seen.zigbee2mqtt, count: seen.devices.length })
          : said(seen),
      );
      if (["needs_password", "wrong_password"].includes(seen.answer)) user.input.focus();
    } catch (error) {
      replace(found);
      refused(element, failed, error);
    }
  };
  const submit = async (event) => {
    event.preventDefault();
    const subscribe = filters.input.value.split(/[\s,，、]+/).filter(Boolean);
    try {
      const body = { name: name.input.value.trim(), subscribe, ...at() };
      const one = await ask("/brokers", { method: "POST", body });
      replace(failed);
      replace(found);
      await added(one);
    } catch (error) {
      refused(element, failed, error);
    }
  };
  const element = h(
    "form",
    { class: "setup-fields", novalidate: true, on: { submit } },
    h("h3", {}, t("setup.add_broker")),
    url.element,
    h("button", { type: "button", class: "quiet big", on: { click: look } }, icon("search"), t("setup.look")),
    found,
    user.element,
    password.element,
    name.element,
    filters.element,
    failed,
    h("button", { class: "primary big" }, t("setup.add_broker")),
  );
  return element;
}

/** The devices of Zigbee2MQTT, each to be taken in: a place, a spot. */
function zigbee({ zigbee2mqtt, devices }, about) {
  return h(
    "div",
    { class: "setup-fields" },
    h("h3", {}, t("setup.zigbee_there", { version: zigbee2mqtt ?? "", count: devices.length })),
    places().length === 0 ? h("p", {}, t("setup.place_first")) : null,
    h("ul", { class: "plain setup-list" }, devices.map((device, number) => suggestion(device, number, about))),
  );
}

function suggestion(device, number, about) {
  const item = h("li", { class: "setup-row" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const type = about.types.find((each) => each.id === device.type);
  const head = h(
    "div",
    { class: "setup-open" },
    icon(type?.class ?? "unknown"),
    h(
      "span",
      {},
      h("strong", {}, device.name),
      h("span", { class: "muted" }, [device.maker, device.model, device.about].filter(Boolean).join(" · ")),
    ),
  );
  const isIn = (id) => replace(item, head, h("p", { class: "setup-good" }, t("setup.is_in", { id })));
  if (device.registered) {
    isIn(device.registered);
    return item;
  }
  if (!type) {
    replace(item, head, h("p", { class: "muted" }, t("setup.no_fit")));
    return item;
  }
  const place = choiceField(
    `zigbee-${number}-place`,
    t("setup.place_of", { name: device.name }),
    places().map((each) => [each.id, each.name]),
  );
  const spot = textField(`zigbee-${number}-spot`, t("setup.spot_of", { name: device.name }));
  const submit = async (event) => {
    event.preventDefault();
    const { id, known_as } = device;
    const body = { id, known_as, type: device.type, place: place.input.value, spot: spot.input.value, secret: false };
    try {
      const answer = await ask("/devices", { method: "POST", body });
      isIn(answer.device.id);
      await refreshSite();
    } catch (error) {
      refused(form, failed, error);
    }
  };
  const form = h(
    "form",
    { class: "setup-take", novalidate: true, on: { submit } },
    place.element,
    spot.element,
    failed,
    h("button", { class: "primary big", disabled: places().length === 0 }, t("setup.take_in", { name: device.name })),
  );
  replace(item, head, form);
  return item;
}
