"""The pictures in docs/: `make screenshots` takes them anew, any other run only sees that they can be taken."""

import io
import os

import browsing
import pytest
from gateway import ROOT
from PIL import Image

MOST_BYTES = 150_000
# What is shown: (address, size); an alert by the rule that raised it, a walk-test that is under way.
SHOTS = {
    "board": ("#/", (1280, 800)),
    "alert": ("smoke-alarm", (1280, 900)),
    "phone": ("fall", (390, 844)),
    "report": ("#/report", (1280, 900)),
    "walk": ("walk", (390, 844)),
    "setup": ("#/setup", (390, 844)),
}


def small(png):
    """The same picture in 256 colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    written = io.BytesIO()
    picture.save(written, "PNG", optimize=True)
    return written.getvalue()


@pytest.mark.parametrize("name", SHOTS)
def test_a_picture_for_the_docs(browser, lively, name, tmp_path):
    address, size = SHOTS[name]
    if address == "walk":
        under_way = next(one for one in lively.ask("/walk-tests")["walk_tests"] if not one["finished"])
        address = f"#/walk/{under_way['id']}"
    elif not address.startswith("#"):
        alert = lively.until_alert(lambda one: address in one["rules"])
        address = f"#/alerts/{alert['id']}"
    with browsing.people(browser, lively, size=size) as come:
        person = come()
        person.go(address)
        # Nothing of this moment's flashing.
        person.page.evaluate("document.documentElement.removeAttribute('data-flash')")
        png = small(person.page.screenshot())
    assert len(png) < MOST_BYTES, f"{name} has {len(png)} bytes"
    folder = ROOT / "docs" if "SCREENSHOTS" in os.environ else tmp_path
    (folder / f"{name}.png").write_bytes(png)
