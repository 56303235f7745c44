// Fields of a form, large enough for a thumb, each with what is wrong with it beside it.

import { Refused } from "./api.js";
import { h, replace } from "./dom.js";
import { problem } from "./say.js";

/** A field with its label; `input` is made by `make(id)`. */
function field(id, label, input) {
  return h("div", { class: "setup-field", "data-field": id.split("-").at(-1) }, h("label", { for: id }, label), input);
}

/** A text to type. */
export function textField(id, label, { value = "", ...props } = {}) {
  const input = h("input", { id, type: "text", maxlength: "200", autocomplete: "off", ...props });
  input.value = value;
  return { input, element: field(id, label, input) };
}

/** A choice of `[value, text]`. */
export function choiceField(id, label, options, value) {
  const input = h("select", { id }, options.map(([of, text]) => h("option", { value: of }, text)));
  if (value !== undefined) input.value = value;
  return { input, element: field(id, label, input) };
}

/** Says what the gateway refused: at the field that it names, else in `failed`. */
export function refused(form, failed, error) {
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  replace(failed, problem(error));
  const of = error instanceof Refused ? error.field : null;
  const input = of ? form.querySelector(`[data-field="${of}"] :is(input, select)`) : null;
  if (input) {
    input.setAttribute("aria-invalid", "true");
    input.focus();
  } else {
    failed.scrollIntoView({ block: "nearest" });
  }
}

/** Does what has no form; where it is refused, `failed` says why. */
export async function attempted(failed, work) {
  replace(failed);
  try {
    await work();
  } catch (error) {
    replace(failed, problem(error));
    failed.scrollIntoView({ block: "nearest" });
  }
}

/** A button that is pressed twice for what cannot be taken back. */
export function removal({ text, sure, label, remove }) {
  let armed = false;
  const button = h("button", { type: "button", class: "quiet", "aria-label": label }, text);
  button.addEventListener("click", () => {
    if (armed) return remove();
    armed = true;
    button.removeAttribute("aria-label");
    replace(button, sure);
  });
  button.addEventListener("blur", () => {
    armed = false;
    button.setAttribute("aria-label", label);
    replace(button, text);
  });
  return button;
}
