"""Everybody can use every page: axe finds no serious fault."""

from pathlib import Path

import axe_playwright_python
import browsing
import pages
import pytest

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# What is folded up is looked at, too. The size of what is pressed is test_fit's.
RUN = """async () => {
  document.querySelectorAll("details").forEach((one) => (one.open = true));
  const found = await axe.run(document, { resultTypes: ["violations"] });
  const grave = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  return grave.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""


def faults(person):
    """What axe finds grave on the page that is open."""
    if not person.page.evaluate("() => typeof axe === 'object'"):
        person.page.evaluate(AXE)
    return person.page.evaluate(RUN)


@pytest.mark.parametrize(("lang", "theme", "where"), [
    ("zh", "light", "desk"), ("zh", "dark", "desk"), ("zh", "light", "phone"),
    ("en", "light", "desk"), ("en", "dark", "phone"),
])  # fmt: skip
def test_no_page_has_a_serious_fault(browser, lively, lang, theme, where):
    found = {}
    how = {"lang": lang, "theme": theme, "size": (1280, 800) if where == "desk" else (360, 740)}
    stranger = browsing.Person(browser, lively, **how)
    stranger.go("")
    found["log-in"] = faults(stranger)
    stranger.leave()
    with browsing.people(browser, lively, **how) as come:
        person = come()
        for name, address in pages.addresses(lively).items():
            person.go(address)
            found[name] = faults(person)
        if person.page.is_visible(".chip.menu"):
            person.page.click(".chip.menu")
        found["menu"] = faults(person)
        person.page.click(".chip.health")
        person.settle()
        found["health"] = faults(person)
    wrong = [f"{name}: {one}" for name, these in found.items() for one in these]
    assert not wrong, "\n".join(wrong)
