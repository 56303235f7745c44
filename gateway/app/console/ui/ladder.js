// The ladder of an alert: who was told on which rung and through what, and who is told next, and when.

import { nextRung, toldOn } from "../model/roster.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { moment, now, span, t } from "./say.js";

/** A panel about it; nothing where the alert has no rung but the first. */
export function ladderPanel(alert, ladder, notifications) {
  const quiet = notifications.filter((one) => one.quiet);
  if (!ladder || (ladder.rungs.length < 2 && quiet.length === 0)) return null;
  const next = nextRung(ladder);
  return h(
    "section",
    { class: "panel", "aria-labelledby": "ladder-title" },
    h("h2", { id: "ladder-title" }, t("ladder.title"), ladder.name ? h("span", { class: "muted" }, ` ${ladder.name}`) : null),
    next
      ? h(
          "p",
          { class: "ladder-next" },
          icon("up"),
          t("ladder.next", { span: span(Math.max(0, next.at_ms - now())), who: whom(next) }),
        )
      : null,
    quiet.map(({ channel }) => h("p", { class: "muted" }, t("ladder.quiet", { channel }))),
    h(
      "ol",
      { class: "plain ladder" },
      ladder.rungs.map((rung) => step(rung, ladder, toldOn(notifications, rung.rung), alert)),
    ),
  );
}

/** Whom a rung tells, in words. */
export function whom({ people, unmanned, channels }) {
  const nobody = unmanned.map((title) => t("ladder.unmanned", { title: t(`title.${title}`) }));
  const through = channels.length > 0 ? channels.join(t("list.comma")) : t("ladder.all_channels");
  return [[...people, ...nobody].join(t("list.comma")), through].filter(Boolean).join(" · ");
}

function step(rung, ladder, told, alert) {
  const climbed = rung.rung <= ladder.rung;
  const isNext = rung.at_ms !== null && rung.rung === ladder.rung + 1;
  const after = rung.rung === 0 ? t("ladder.at_once") : t("ladder.after", { span: span(rung.after_ms) });
  return h(
    "li",
    { class: `rung ${climbed ? "is-climbed" : isNext ? "is-next" : ""}`, "aria-current": climbed && rung.rung === ladder.rung ? "step" : null },
    h("span", { class: "rung-name" }, rung.rung === 0 ? t("ladder.first") : t("ladder.rung", { rung: rung.rung }), h("span", { class: "muted" }, ` ${after}`)),
    h("span", {}, whom(rung)),
    told.map(({ channel, at_ms: at, people }) =>
      h(
        "span",
        { class: "rung-told" },
        icon("check"),
        t("ladder.told", { channel, time: moment(at, true) }),
        people?.length > 0 ? ` ${people.join(t("list.comma"))}` : null,
      ),
    ),
    !climbed && alert.status !== "raised" ? h("span", { class: "muted" }, t("ladder.not_climbed")) : null,
  );
}
