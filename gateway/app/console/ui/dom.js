// Elements, made by hand. Data becomes text and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `props`: attributes; `on` for listeners, `class`, booleans; children: nodes or text. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Puts `children` in the place of all that an element holds. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

/**
 * Brings a list of nodes in line with `items`, by key, touching only what differs: a node whose
 * `mark` is the same stays, with its focus and its place in an animation.
 */
export function reconcile(parent, items, { key, mark, make }) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    const wanted = String(mark(item));
    let node = old.get(id);
    old.delete(id);
    if (!node || node.dataset.mark !== wanted) {
      const fresh = make(item);
      fresh.dataset.key = id;
      fresh.dataset.mark = wanted;
      if (node) {
        const focus = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
        if (at === node) at = fresh;
        node.replaceWith(fresh);
        if (focus) fresh.querySelector(`[data-focus="${focus}"]`)?.focus();
      }
      node = fresh;
    }
    if (at === node) at = node.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  for (const node of old.values()) node.remove();
}
