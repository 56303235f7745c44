// What frames every page: header with the state of feed, gateway and sound, navigation, banners.

import { waiting, sounding } from "../model/alerts.js";
import { span as formatSpan, timeOfDay } from "../model/format.js";
import { ask, health } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { live, onLive } from "./live.js";
import { keysButton } from "./keys.js";
import { notice, noticeButton, unseenAlerts } from "./notices.js";
import { lang } from "./prefs.js";
import { mayDo, now, offset, say, t } from "./say.js";
import { partName } from "./site.js";
import { keepSounding, onSound, play, soundState, switchSound } from "./sound.js";
import { languageSwitch, themeSwitch } from "./tools.js";

const HEALTH_EVERY_MS = 15_000;
const state = { session: null, health: null, redraw: () => {}, parts: {}, flash: false };

/** Builds the frame in `root` for `session`; gives the element that pages go into. */
export function shell(root, { session, redraw, signedOut }) {
  state.session = session;
  state.redraw = redraw;
  const main = h("main", { id: "main", tabindex: "-1" });
  const parts = {
    feed: h("span", { class: "chip feed" }),
    health: h("button", {
      type: "button",
      class: "chip health",
      "aria-haspopup": "dialog",
      on: { click: () => showHealth() },
    }),
    sound: h("button", {
      type: "button",
      class: "chip sound",
      on: { click: () => switchSound(soundState() !== "on") },
    }),
    clock: h("time", { class: "clock", "aria-hidden": "true" }),
    banner: h("div", { class: "banners" }),
    nav: h("nav", { class: "nav", "aria-label": t("app.pages") }),
    dialog: h("dialog", { class: "panel health-dialog", "aria-labelledby": "health-title" }),
    polite: h("p", { class: "visually-hidden", "aria-live": "polite" }),
    urgent: h("p", { class: "visually-hidden", role: "alert" }),
  };
  state.parts = parts;
  replace(
    root,
    h(
      "a",
      {
        class: "skip",
        href: "#main",
        on: {
          click: (event) => {
            event.preventDefault();
            main.focus();
          },
        },
      },
      t("app.skip"),
    ),
    h(
      "header",
      { class: "top" },
      h(
        "a",
        { class: "brand", href: "#/" },
        icon("shield"),
        h("span", { class: "brand-name" }, t("app.name")),
        h("span", { class: "brand-gateway" }, session.gateway),
      ),
      parts.nav,
      h("div", { class: "states" }, parts.clock, parts.feed, parts.health, parts.sound),
      tools(session, redraw, signedOut),
    ),
    parts.banner,
    main,
    parts.dialog,
    parts.polite,
    parts.urgent,
  );
  drawAll();
  return main;
}

function tools(session, redraw, signedOut) {
  const box = h(
    "div",
    { class: "tools", id: "tools" },
    languageSwitch(redraw),
    themeSwitch(redraw),
    mayDo("GET", "/events") ? noticeButton() : null,
    mayDo("GET", "/events") ? keysButton() : null,
    h(
      "button",
      { type: "button", class: "tool", on: { click: () => ask("/session", { method: "DELETE" }).finally(signedOut) } },
      t("tool.log_out"),
      h("span", { class: "muted" }, ` ${session.account} · ${t(`role.${session.role}`)}`),
    ),
  );
  const button = h(
    "button",
    {
      type: "button",
      class: "chip menu",
      "aria-expanded": "false",
      "aria-controls": "tools",
      "aria-label": t("tool.menu"),
    },
    icon("menu"),
  );
  const open = (yes) => {
    box.classList.toggle("open", yes);
    button.setAttribute("aria-expanded", String(yes));
  };
  button.addEventListener("click", () => open(button.getAttribute("aria-expanded") === "false"));
  const holder = h("div", { class: "tool-holder" }, button, box);
  holder.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      open(false);
      button.focus();
    }
  });
  holder.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !holder.contains(event.relatedTarget)) open(false);
  });
  return holder;
}

/** Marks where one is. */
export function navigated() {
  const { nav } = state.parts;
  const at = location.hash || "#/";
  const link = (href, name, text, here) =>
    h("a", { href, class: "nav-link", "aria-current": here ? "page" : null }, icon(name), h("span", {}, text));
  const alerts = mayDo("GET", "/alerts");
  replace(
    nav,
    alerts
      ? link("#/", "bell", t("nav.board"), at === "#/" || at.startsWith("#/board") || at.startsWith("#/alerts/"))
      : null,
    link("#/places", "place", t("nav.places"), at.startsWith("#/places")),
    link("#/devices", "devices", t("nav.devices"), at.startsWith("#/devices") || (!alerts && at === "#/")),
    alerts ? link("#/history", "clock", t("nav.history"), at.startsWith("#/history")) : null,
    mayDo("GET", "/report") ? link("#/report", "sheet", t("nav.report"), at.startsWith("#/report")) : null,
    mayDo("GET", "/roster") ? link("#/roster", "person", t("nav.roster"), at.startsWith("#/roster")) : null,
    mayDo("GET", "/audit") ? link("#/audit", "search", t("nav.audit"), at.startsWith("#/audit")) : null,
    mayDo("GET", "/residents") ? link("#/people", "person", t("nav.people"), at.startsWith("#/people")) : null,
    mayDo("GET", "/grids") ? link("#/grids", "code", t("nav.grids"), at.startsWith("#/grids")) : null,
    mayDo("GET", "/walk-tests") ? link("#/walk", "check", t("nav.walk"), at.startsWith("#/walk")) : null,
    mayDo("GET", "/setup") ? link("#/setup", "devices", t("nav.setup"), at.startsWith("#/setup")) : null,
    mayDo("GET", "/notify") ? link("#/notify", "send", t("nav.channels"), at.startsWith("#/notify")) : null,
  );
  // On a phone the links are wider than the screen.
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function drawAll() {
  navigated();
  drawClock();
  drawFeed();
  drawHealth();
  drawSound();
  drawTitle();
}

function drawClock() {
  replace(state.parts.clock, timeOfDay(now(), offset()));
  const stale = state.parts.banner.querySelector(".stale-text");
  if (stale) replace(stale, staleText());
}

function drawFeed() {
  const { feed, banner } = state.parts;
  if (!feed) return;
  // Who sees no alerts has no feed that could be cut.
  feed.hidden = state.parts.sound.hidden = !mayDo("GET", "/events");
  if (feed.hidden) return;
  feed.className = `chip feed feed-${live.feed}`;
  replace(feed, icon(live.feed === "live" ? "wave" : "cut"), h("span", { class: "chip-text" }, t(`feed.${live.feed}`)));
  const banners = [];
  if (live.feed !== "live")
    banners.push(
      h(
        "p",
        { class: "banner banner-stale" },
        icon("cut"),
        h("span", { role: "alert" }, t(live.heardAt === null ? "feed.never" : "feed.cut")),
        h("span", { class: "stale-text" }, staleText()),
      ),
    );
  if (live.feed === "live" && soundState() === "blocked") {
    banners.push(
      h(
        "p",
        { class: "banner banner-sound" },
        icon("sound_off"),
        h("span", {}, t("sound.banner")),
        h("button", { type: "button", on: { click: () => switchSound(true) } }, t("sound.enable")),
      ),
    );
  }
  // Only when it differs: a screen reader speaks an alert each time it appears.
  const mark = `${live.feed} ${soundState()} ${lang()}`;
  if (banner.dataset.mark !== mark) {
    banner.dataset.mark = mark;
    replace(banner, banners);
  }
  document.documentElement.dataset.feed = live.feed;
}

function staleText() {
  if (live.heardAt === null) return "";
  const ago = performance.now() - live.heardAt;
  return t("feed.stale_since", { time: timeOfDay(now() - ago, offset()), age: formatSpan(lang(), ago) });
}

function drawHealth() {
  const chip = state.parts.health;
  if (!chip) return;
  const status = state.health?.status ?? "unknown";
  const bad = state.health?.parts?.find((part) => part.status !== "ok");
  chip.className = `chip health health-${status}`;
  const text = t(`health.${status}`);
  const why = bad ? `${text}: ${say(bad.text)}` : text;
  chip.title = why;
  chip.setAttribute("aria-label", why);
  replace(chip, icon("heart"), h("span", { class: "chip-text" }, text));
}

function showHealth() {
  const { dialog } = state.parts;
  const row = (part) =>
    h(
      "li",
      { class: `part part-${part.status}` },
      h("span", { class: "part-name" }, partName(part.name)),
      h("span", { class: "part-status" }, t(`health.part_${part.status}`)),
      part.text ? h("span", { class: "part-text" }, say(part.text)) : null,
      part.says ? h("span", { class: "part-text" }, say(part.says)) : null,
    );
  replace(
    dialog,
    h("h2", { id: "health-title" }, t("health.title")),
    h("ul", { class: "plain parts" }, (state.health?.parts ?? []).map(row)),
    h(
      "form",
      { method: "dialog" },
      h("button", { class: "primary" }, t("health.close")),
      mayDo("GET", "/support")
        ? h(
            "a",
            { class: "button", href: `/api/v1/support?lang=${lang()}`, download: "ninewatch-support.html" },
            icon("sheet"),
            t("health.support"),
          )
        : null,
    ),
  );
  dialog.showModal();
}

function drawSound() {
  const chip = state.parts.sound;
  if (!chip) return;
  const sound = soundState();
  chip.className = `chip sound sound-${sound}`;
  const text = t({ on: "sound.on", off: "sound.off", blocked: "sound.enable" }[sound]);
  chip.title = text;
  chip.setAttribute("aria-label", text);
  replace(chip, icon(sound === "on" ? "sound_on" : "sound_off"), h("span", { class: "chip-text" }, text));
  drawFeed();
}

/** The title says how many wait, and blinks while something critical does, or something came that nobody has seen. */
function drawTitle() {
  if (!state.parts.clock) return;
  const count = waiting(live.board);
  const name = t("app.name");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  state.flash = (sounding(live.board) || unseenAlerts() > 0) && !calm && !state.flash;
  document.documentElement.toggleAttribute("data-flash", state.flash);
  const text = count > 0 ? `${t("board.title_waiting", { count })} · ${name}` : name;
  document.title = live.feed === "stale" ? `⚠ ${t("feed.stale")} · ${name}` : state.flash ? `🔴 ${text}` : text;
}

function announce({ change, sound }) {
  if (!change || !sound) return;
  play(sound);
  const { urgent, polite } = state.parts;
  const alert = change.alert;
  const sentence = t("board.announce", {
    severity: t(`severity.${alert.severity}`),
    place: state.placeName(alert.place),
    title: say(alert.title),
  });
  replace(alert.severity === "critical" ? urgent : polite, sentence);
  notice(alert, sentence);
}

async function askHealth() {
  if (!state.session) return;
  state.health = await health().catch(() => null);
  drawHealth();
}

/** Starts what goes on as long as the page is there: clocks, sound, health. `placeName` names a place by its id. */
export function startShell(placeName) {
  state.placeName = placeName;
  onLive((news) => {
    announce(news);
    keepSounding(Boolean(state.session) && sounding(live.board));
    drawFeed();
    drawTitle();
  });
  onSound(drawSound);
  setInterval(() => {
    if (!state.session) return;
    drawTitle();
    drawClock();
  }, 1000);
  setInterval(askHealth, HEALTH_EVERY_MS);
}

/** Somebody is in, or nobody. */
export function shellSession(session) {
  state.session = session;
  state.health = null;
  if (session) {
    askHealth();
  } else {
    state.parts = {};
    delete document.documentElement.dataset.feed;
    keepSounding(false);
  }
}
