// The channels that tell people: how each is, and trying it out.

import { ask } from "../ui/api.js";
import { h, reconcile, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, moment, problem, t } from "../ui/say.js";

const REFRESH_MS = 5_000;

/** Shows the page in `root`; gives the way to leave it. */
export function channelsPage(root) {
  let left = false;
  /** What became of a test, by channel. */
  const tests = new Map();
  let channels = [];
  const list = h("ul", { class: "plain channels" });
  const failed = h("p", { class: "form-error", role: "alert" });
  replace(root, h("div", { class: "devices" }, h("h1", { tabindex: "-1" }, t("channels.title")), failed, list));

  const draw = () => {
    if (left) return;
    reconcile(list, channels.length > 0 ? channels : [null], {
      key: (channel) => channel?.name ?? "",
      mark: (channel) => JSON.stringify([channel, tests.get(channel?.name)]),
      make: (channel) =>
        channel ? card(channel, tests.get(channel.name), test) : h("li", { class: "muted loading" }, t("channels.none")),
    });
  };
  const load = async () => {
    try {
      ({ channels } = await ask("/notify"));
      replace(failed);
      draw();
    } catch (error) {
      if (!left) replace(failed, problem(error));
    }
  };
  const test = async (name) => {
    tests.set(name, { text: t("channels.testing"), busy: true });
    draw();
    try {
      await ask(`/notify/${name}/test`, { method: "POST", body: {} });
      tests.set(name, { text: t("channels.taken") });
    } catch (error) {
      tests.set(name, { text: problem(error), bad: true });
    }
    load();
  };
  const timer = setInterval(() => document.visibilityState === "visible" && load(), REFRESH_MS);
  load();
  return () => {
    left = true;
    clearInterval(timer);
  };
}

function card(channel, tested, test) {
  const { name, kind, simulated, status, error, waiting, last_sent_ms: last } = channel;
  const said = last === null ? t("channels.never") : t("channels.last", { time: moment(last, true) });
  return h(
    "li",
    { class: `panel channel channel-${status}` },
    h(
      "div",
      { class: "channel-main" },
      h("h2", {}, name, " ", h("span", { class: "muted" }, t(`channels.${kind}`))),
      h("p", { class: "channel-status" }, icon(status === "ok" ? "check" : "cut"), t(`channels.${status}`)),
      error ? h("p", { class: "channel-error" }, error) : null,
      simulated ? h("p", { class: "channel-error" }, t("channels.simulated")) : null,
      h("p", { class: "muted" }, [waiting > 0 ? t("channels.waiting", { count: waiting }) : null, said].filter(Boolean).join(" · ")),
      h("p", { class: tested?.bad ? "form-error" : "channel-tested", role: "status" }, tested?.text ?? ""),
    ),
    mayDo("POST", `/notify/${name}/test`)
      ? h(
          "button",
          {
            type: "button",
            "data-focus": "test",
            disabled: tested?.busy ?? false,
            "aria-label": t("channels.test_of", { name }),
            on: { click: () => test(name) },
          },
          t("channels.test"),
        )
      : null,
  );
}
