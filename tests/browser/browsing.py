"""Chromium as people use it: logged in, with what it remembers, and what it complained of."""

import contextlib
import os
import shutil

from playwright.sync_api import sync_playwright

# What Debian ships; nothing is downloaded.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic", "--mute-audio",
]  # fmt: skip

# Counts what is asked and not answered yet (the live feed never is), and what is really played.
WATCH = """(() => {
  const ask = window.fetch;
  window.asked = 0;
  window.fetch = async (...args) => {
    const ends = !String(args[0]).includes("/api/v1/events");
    window.asked += ends;
    try {
      const answer = await ask(...args);
      if (ends) await answer.clone().arrayBuffer();
      return answer;
    } finally {
      window.asked -= ends;
    }
  };
  window.tones = [];
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...args) {
    window.tones.push({ state: this.context.state, at: this.context.currentTime });
    return start.apply(this, args);
  };
})()"""

# Notes when the card of a place is first in the document, in milliseconds since 1970.
NOTE_CARDS = """() => {
  window.cards = {};
  const note = (card) => {
    const place = card.querySelector(".card-place").textContent.split(" · ")[0];
    window.cards[place] ??= performance.timeOrigin + performance.now();
  };
  new MutationObserver((changes) => {
    const fresh = changes.flatMap((change) => [...change.addedNodes]).filter((node) => node.nodeType === 1);
    for (const node of fresh) (node.matches(".card") ? [node] : node.querySelectorAll(".card")).forEach(note);
  }).observe(document.body, { childList: true, subtree: true });
}"""

SETTLED = """() => {
  const feed = document.documentElement.dataset.feed;
  return window.asked === 0 && (feed === undefined || feed === "live")
    && !!document.querySelector("h1, .form-error:not(:empty)") && document.fonts.status === "loaded"
    && document.getAnimations().every((one) =>
      one.playState !== "running" || !Number.isFinite(one.effect.getComputedTiming().endTime));
}"""

# Two frames later what was answered is drawn.
DRAWN = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(() => drawn())))"


def missing():
    """Why there are no browser tests on this machine; `None` where there are. In CI there always are."""
    if CHROMIUM:
        return None
    assert "CI" not in os.environ, "chromium is needed in CI"
    return "chromium is not on this machine"


@contextlib.contextmanager
def chromium():
    """A browser with a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, browser, gateway, *, lang="zh", theme="light", size=(1280, 800)):
        self.gateway = gateway
        width, height = size
        locale = "en-GB" if lang == "en" else "zh-CN"
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, locale=locale
        )
        self.context.add_init_script(WATCH)
        # As the switches do, and only where nothing was chosen yet.
        self.context.add_init_script(
            f'localStorage.getItem("ninewatch.lang") ?? localStorage.setItem("ninewatch.lang", "{lang}")'
        )
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.set_default_timeout(20_000)

    def _heard(self, message):
        # A refused request, or a network that is cut, is the page's business and no fault of it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def log_in(self, account=None):
        """Logs in by the form; gives itself."""
        name, password = account or self.gateway.account
        self.page.goto(self.gateway.console)
        self.page.fill("#account", name)
        self.page.fill("#password", password)
        self.page.click("form button[type=submit]")
        self.page.wait_for_selector("#main")
        return self

    def go(self, address):
        """Goes to a page of the console and waits until it is all there."""
        self.page.goto(f"{self.gateway.console}/{address}")
        self.settle()

    def settle(self):
        """Waits until what was asked is answered and drawn."""
        self.page.wait_for_function(SETTLED)
        self.page.evaluate(DRAWN)

    def card(self, place):
        """The board's cards of a place."""
        return self.page.locator(".card", has_text=place)

    def html(self, name, value):
        """Waits until `<html data-NAME>` is so."""
        self.page.wait_for_selector(f'html[data-{name}="{value}"]', state="attached")

    def leave(self):
        """Closes the browser; nothing went wrong in it."""
        self.context.close()
        assert not self.complaints, self.complaints


@contextlib.contextmanager
def people(browser, gateway, **how):
    """Opens browsers, each by `come(account)`, and closes them in the end."""
    opened = []

    def come(account=None, **more):
        person = Person(browser, gateway, **(how | more))
        opened.append(person)
        return person.log_in(account)

    yield come
    for person in opened:
        person.leave()

