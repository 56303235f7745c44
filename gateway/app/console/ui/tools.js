// The switches for language and theme.

import { h } from "./dom.js";
import { lang, setLang, setTheme, theme } from "./prefs.js";
import { t } from "./say.js";

const THEMES = ["system", "dark", "light"];

/** Switches between Chinese and English; `redraw` shows it. */
export function languageSwitch(redraw) {
  const other = lang() === "zh" ? "en" : "zh";
  return h(
    "button",
    {
      type: "button",
      class: "tool",
      lang: other === "en" ? "en" : "zh-CN",
      on: {
        click: () => {
          setLang(other);
          redraw();
        },
      },
    },
    t("tool.language"),
  );
}

/** Goes through the themes: the system's, dark, light. */
export function themeSwitch(redraw) {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  return h(
    "button",
    {
      type: "button",
      class: "tool",
      on: {
        click: () => {
          setTheme(next);
          redraw();
        },
      },
    },
    t("tool.theme", { theme: t(`tool.theme_${theme()}`) }),
  );
}
