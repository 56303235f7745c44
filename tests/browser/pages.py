"""Which pages there are: taken from the console itself, so that a new one cannot be forgotten."""

import re

from gateway import ROOT

CONSOLE = ROOT / "gateway/app/console"
# Documents besides the console, by file, each with an address where it is served.
DOCUMENTS = {"index.html": "/"}


def addresses(gateway):
    """The address of every page, with something in place of each id, as {name: address}."""
    source = (CONSOLE / "app.js").read_text()
    route = source[source.index("function route()") : source.index("function draw()")]
    lines = [line for line in route.splitlines() if "Page(main" in line]
    found = {}
    for line in lines:
        named = re.search(r'page === "([a-z-]*)"', line)
        assert named, f"app.js shows a page by a line from which no test knows its address: {line.strip()}"
        if " id" in line or "(id)" in line:
            found |= one_of_each(gateway, named[1])
        else:
            found[named[1] or "board"] = f"#/{named[1]}"
    assert {"board", "history", "devices"} <= set(found)
    documents = {path.name for path in CONSOLE.glob("*.html")}
    assert documents == set(DOCUMENTS), f"say in DOCUMENTS where these are served: {documents}"
    return found | {"not found": "#/nowhere"}


def one_of_each(gateway, page):
    """The pages that show one thing by its id: an alert of each kind and status, a place, a device."""
    assert page in ("alerts", "places", "devices"), f"say here of which ids #/{page}/ID is a page"
    things = gateway.ask(f"/{page}?limit=500" if page == "alerts" else f"/{page}")[page]
    name = (lambda one: f"alert {one['rules'][0]}, {one['status']}") if page == "alerts" else (lambda one: one["id"])
    return {name(one): f"#/{page}/{one['id']}" for one in things}
