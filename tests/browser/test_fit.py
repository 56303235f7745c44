"""Every page fits a phone, a desk and a wall: nothing to scroll sideways, no text cut, nothing too small to press."""

import browsing
import pages
import pytest

SIZES = [(360, 740), (1280, 800), (3840, 2160)]

# Gives what is wrong, as sentences.
FIT = """() => {
  document.querySelectorAll("details").forEach((one) => (one.open = true));
  const wrong = new Set();
  const root = document.documentElement;
  const name = (node) => `${node.localName}.${[...node.classList].join(".")}`;
  if (root.scrollWidth > innerWidth) wrong.add(`the page is ${root.scrollWidth} px wide`);

  const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest(".visually-hidden, .skip");
  // What holds an element and hides what stands out of it, on each axis; where one can scroll, nothing is hidden.
  const holders = (node) => {
    const found = { x: [], y: [] };
    let [x, y] = [true, true];
    for (let up = node; up && (x || y); up = up.parentElement) {
      const style = getComputedStyle(up);
      if (/auto|scroll/.test(style.overflowX)) x = false;
      else if (x && /hidden|clip/.test(style.overflowX)) found.x.push(up.getBoundingClientRect());
      if (/auto|scroll/.test(style.overflowY)) y = false;
      else if (y && /hidden|clip/.test(style.overflowY)) found.y.push(up.getBoundingClientRect());
      if (style.position === "fixed") break;
    }
    if (x) found.x.push({ left: 0, right: innerWidth });
    return found;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !seen(node) || node.closest("svg, noscript, option, script")) continue;
    range.selectNodeContents(text);
    const { x, y } = holders(node);
    for (const line of range.getClientRects()) {
      const cut = x.some((box) => line.left < box.left - 1 || line.right > box.right + 1)
        // The ascent of a font is taller than its letters.
        || y.some((box) => line.top < box.top - 3 || line.bottom > box.bottom + 3);
      if (cut) wrong.add(`${name(node)} cuts "${text.data.trim()}"`);
    }
  }
  // In a field the text that is there, or stands for what may be.
  for (const field of document.querySelectorAll("input, select")) {
    if (!seen(field) || ["checkbox", "radio", "date"].includes(field.type)) continue;
    const style = getComputedStyle(field);
    const pen = document.createElement("span");
    pen.textContent = field.selectedOptions?.[0]?.text || field.value || field.placeholder;
    const { font, letterSpacing } = style;
    Object.assign(pen.style, { font, letterSpacing, whiteSpace: "pre", position: "absolute", visibility: "hidden" });
    document.body.append(pen);
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const wanted = pen.offsetWidth;
    pen.remove();
    if (wanted > room + 1) wrong.add(`${name(field)} has ${room} of ${wanted} px for "${pen.textContent}"`);
  }
  // WCAG 2.2, 2.5.8: 24 px, but for links in a sentence.
  for (const control of document.querySelectorAll("a[href], button, input, select, textarea, summary, [role=button]")) {
    const label = control.closest("label");
    const pressed = label && /checkbox|radio/.test(control.type) ? label : control;
    if (!seen(control) || (control.localName === "a" && getComputedStyle(control).display === "inline")) continue;
    const { width, height } = pressed.getBoundingClientRect();
    if (width < 24 || height < 24) wrong.add(`${name(pressed)} "${pressed.innerText}" is ${width} by ${height} px`);
  }
  return [...wrong];
}"""


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_page_fits(browser, lively, lang, size):
    found = {}
    stranger = browsing.Person(browser, lively, lang=lang, size=size)
    stranger.go("")
    found["log-in"] = stranger.page.evaluate(FIT)
    stranger.leave()
    with browsing.people(browser, lively, lang=lang, size=size) as come:
        person = come()
        for name, address in pages.addresses(lively).items():
            person.go(address)
            found[name] = person.page.evaluate(FIT)
        if person.page.is_visible(".chip.menu"):
            person.page.click(".chip.menu")
        found["menu"] = person.page.evaluate(FIT)
        person.page.click(".chip.health")
        person.settle()
        found["health"] = person.page.evaluate(FIT)
    wrong = [f"{name}: {one}" for name, these in found.items() for one in these]
    assert not wrong, "\n".join(wrong)
