// The log-in page.

import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { problem, t } from "../ui/say.js";
import { unlock } from "../ui/sound.js";
import { languageSwitch, themeSwitch } from "../ui/tools.js";

/** Shows the page in `root`. `entered(session)` is called when somebody is in; `redraw` when the language changes. */
export function logInPage(root, { expired, entered, redraw }) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const submit = h("button", { class: "primary", type: "submit" }, t("login.submit"));
  const account = h("input", {
    id: "account",
    name: "username",
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
  });
  const password = h("input", {
    id: "password",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const reveal = h("input", {
    type: "checkbox",
    id: "reveal",
    on: { change: () => (password.type = reveal.checked ? "text" : "password") },
  });

  const send = async (event) => {
    event.preventDefault();
    // A click on the button is what lets the page sound later.
    unlock();
    submit.disabled = true;
    replace(submit, t("login.busy"));
    replace(failed);
    try {
      entered(
        await ask("/session", { method: "POST", body: { account: account.value.trim(), password: password.value } }),
      );
    } catch (error) {
      replace(failed, problem(error));
      submit.disabled = false;
      replace(submit, t("login.submit"));
      password.focus();
      password.select();
    }
  };

  replace(
    root,
    h(
      "main",
      { class: "login" },
      h("div", { class: "login-brand" }, icon("shield"), h("span", {}, t("app.name"))),
      h(
        "form",
        { class: "panel", on: { submit: send } },
        h("h1", {}, t("login.title")),
        expired
          ? h("p", { class: "form-error", role: "alert" }, t("login.expired"))
          : h("p", { class: "muted" }, t("login.intro")),
        h("label", { for: "account" }, t("login.account")),
        account,
        h("label", { for: "password" }, t("login.password")),
        password,
        h("label", { class: "check" }, reveal, t("login.show")),
        failed,
        submit,
      ),
      h("div", { class: "login-tools" }, languageSwitch(redraw), themeSwitch(redraw)),
    ),
  );
  document.title = `${t("login.title")} · ${t("app.name")}`;
  account.focus();
}
