// The grids' codes: making them, and the poster of each to print and hang.

import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, moment, problem, t } from "../ui/say.js";

/** Shows the codes, or the poster of `grid`, in `root`; gives the way to leave it. */
export function gridsPage(root, grid) {
  return grid ? poster(root, grid) : list(root);
}

function list(root) {
  let left = false;
  const failed = h("p", { class: "form-error", role: "alert" });
  const box = h("ul", { class: "plain channels" });
  replace(
    root,
    h(
      "div",
      { class: "devices" },
      h("h1", { tabindex: "-1" }, t("grids.title")),
      h("p", { class: "muted" }, t("grids.hint")),
      failed,
      box,
    ),
  );
  const load = async () => {
    try {
      const { grids } = await ask("/grids");
      if (left) return;
      replace(failed);
      replace(
        box,
        grids.length > 0
          ? grids.map((grid) => card(grid, change))
          : h("li", { class: "muted loading" }, t("grids.none")),
      );
    } catch (error) {
      if (!left) replace(failed, problem(error));
    }
  };
  const change = async (grid, method, sure) => {
    if (sure && !confirm(sure)) return;
    try {
      await ask(`/grids/${encodeURIComponent(grid)}/code`, { method, body: method === "POST" ? {} : undefined });
      await load();
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  load();
  return () => (left = true);
}

function card({ id, places, code_since_ms: since }, change) {
  const path = `/grids/${encodeURIComponent(id)}/code`;
  const button = (text, method, sure) =>
    mayDo(method, path) ? h("button", { type: "button", on: { click: () => change(id, method, sure) } }, text) : null;
  return h(
    "li",
    { class: "panel channel" },
    h(
      "div",
      { class: "channel-main" },
      h("h2", {}, id),
      h(
        "p",
        { class: "muted" },
        [
          t("grids.places", { count: places }),
          since ? t("grids.since", { time: moment(since) }) : t("grids.no_code"),
        ].join(" · "),
      ),
    ),
    h(
      "div",
      { class: "grid-buttons" },
      since
        ? [
            h("a", { class: "button", href: `#/grids/${encodeURIComponent(id)}` }, icon("sheet"), t("grids.poster")),
            button(t("grids.renew"), "POST", t("grids.sure_renew", { grid: id })),
            button(t("grids.revoke"), "DELETE", t("grids.sure_revoke", { grid: id })),
          ]
        : button(t("grids.make"), "POST"),
    ),
  );
}

/** The poster is for residents: it says everything in both languages, whatever the console speaks. */
function poster(root, grid) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const picture = h("img", { class: "poster-code", alt: t("grids.code_of", { grid }), width: "480", height: "480" });
  const address = h("p", { class: "poster-address" });
  const origin = h("input", { id: "poster-origin", value: location.origin, spellcheck: "false", autocomplete: "off" });
  const draw = () => {
    const at = origin.value.trim().replace(/\/+$/, "");
    const local = /^https?:\/\/(localhost|127\.|\[::1\])/.test(at);
    replace(failed, local ? t("grids.loopback") : "");
    picture.src = `/api/v1/grids/${encodeURIComponent(grid)}/code.svg?origin=${encodeURIComponent(at)}`;
    replace(address, `${at}/r`);
  };
  picture.addEventListener("error", async () => {
    try {
      await ask(picture.src.slice(location.origin.length + "/api/v1".length));
    } catch (error) {
      replace(failed, problem(error));
    }
  });
  origin.addEventListener("change", draw);
  replace(
    root,
    h(
      "div",
      { class: "poster-page" },
      h(
        "div",
        { class: "poster-tools" },
        h("a", { class: "back", href: "#/grids" }, icon("back"), t("grids.back")),
        h("label", { for: origin.id }, t("grids.origin")),
        origin,
        failed,
        h("button", { type: "button", class: "primary", on: { click: () => print() } }, t("grids.print")),
      ),
      h(
        "article",
        { class: "poster" },
        h(
          "h1",
          { tabindex: "-1" },
          h("span", { lang: "zh-CN" }, "有事扫一扫"),
          h("span", { lang: "en", class: "poster-en" }, "Scan to report a matter"),
        ),
        h("p", { class: "poster-grid" }, grid),
        picture,
        h(
          "ol",
          { class: "poster-steps" },
          [
            ["连接小区网络，用手机相机或浏览器扫码", "Join the community's network and scan with your phone"],
            ["选类别、写情况，可加照片和电话", "Choose what it is about, write, add a photo if you like"],
            ["记下编号，随时查看进展", "Note down the ticket and see how far it is"],
          ].map(([zh, en]) =>
            h("li", {}, h("span", { lang: "zh-CN" }, zh), h("span", { lang: "en", class: "poster-en" }, en)),
          ),
        ),
        h(
          "p",
          { class: "poster-urgent" },
          h("span", { lang: "zh-CN" }, "紧急情况先打 119 · 110 · 120"),
          h("span", { lang: "en", class: "poster-en" }, "In danger call 119 · 110 · 120 first"),
        ),
        address,
      ),
    ),
  );
  draw();
  return () => {};
}
