// Who is on duty now, in one line.

import { ask } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { mayDo, t } from "./say.js";

const REFRESH_MS = 60_000;
/** A line is no list: the page of the roster has them all. */
const MOST = 8;

/** A line that keeps itself up to date as long as it is shown; nothing where there is no roster, or none to be seen. */
export function onDutyLine() {
  const line = h("p", { class: "on-duty", hidden: true });
  if (!mayDo("GET", "/roster")) return line;
  const load = async () => {
    try {
      const { on_duty: on, people } = await ask("/roster");
      draw(line, on, new Map(people.map((person) => [person.id, person.name])));
    } catch {
      // What was shown stays; the page says itself when the gateway is away.
    }
  };
  load();
  const timer = setInterval(() => {
    if (!line.isConnected) clearInterval(timer);
    else if (document.visibilityState === "visible") load();
  }, REFRESH_MS);
  return line;
}

function draw(line, on, names) {
  line.hidden = on.length === 0;
  const one = ({ title, grid, people }) =>
    h(
      "span",
      { class: people.length > 0 ? "on-duty-one" : "on-duty-one is-hole" },
      h("span", { class: "muted" }, [t(`title.${title}`), grid].filter(Boolean).join(" ")),
      " ",
      people.length > 0 ? people.map((id) => names.get(id) ?? id).join(t("list.comma")) : t("roster.nobody"),
    );
  // Where nobody is comes first.
  const shown = [...on].sort((a, b) => Number(a.people.length > 0) - Number(b.people.length > 0)).slice(0, MOST);
  replace(
    line,
    icon("person"),
    h("a", { href: "#/roster" }, t("roster.now")),
    shown.map(one),
    on.length > MOST ? h("span", { class: "muted" }, t("roster.more", { count: on.length - MOST })) : null,
  );
}
