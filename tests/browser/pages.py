"""Which pages there are: taken from the console itself, so that a new one cannot be forgotten."""

import re

from gateway import ROOT

CONSOLE = ROOT / "gateway/app/console"
# The documents, by file, each with the address where it is served. A resident's holds the code of a grid.
DOCUMENTS = {"index.html": "", "resident.html": "r#{code}"}


def addresses(gateway):
    """The address of every page, with something in place of each id, as {name: address}."""
    source = (CONSOLE / "app.js").read_text()
    route = source[source.index("function route()") : source.index("function draw()")]
    lines = [line for line in route.splitlines() if "Page(main" in line]
    found = {}
    for line in lines:
        if "(isBoard" in line:
            found |= {"board": "#/", "wall": "#/board?wall=1"}
            continue
        named = re.search(r'page === "([a-z-]+)"', line)
        assert named, f"app.js shows a page by a line from which no test knows its address: {line.strip()}"
        takes_id = " id" in line or "(id)" in line
        if takes_id:
            found |= one_of_each(gateway, named[1])
        if not takes_id or named[1] in ("grids", "setup", "walk"):
            found[named[1]] = f"#/{named[1]}"
    assert {"board", "history", "devices"} <= set(found)
    documents = {path.name for path in CONSOLE.glob("*.html")}
    assert documents == set(DOCUMENTS), f"say in DOCUMENTS where these are served: {documents}"
    code = gateway.ask("/grids/kaili-1/code")["code"]
    found["resident"] = DOCUMENTS["resident.html"].format(code=code)
    return found | {"not found": "#/nowhere"}


def one_of_each(gateway, page):
    """The pages that show one thing by its id: an alert of each kind and status, a place, a device, a grid's poster."""
    if page == "walk":
        tests = gateway.ask("/walk-tests")["walk_tests"]
        return {f"walk, finished: {one['finished']}": f"#/walk/{one['id']}" for one in tests}
    if page == "setup":
        return {f"setup, {one['id']}": f"#/setup/{one['id']}" for one in gateway.ask("/places")["places"][:2]}
    assert page in ("alerts", "places", "devices", "grids"), f"say here of which ids #/{page}/ID is a page"
    things = gateway.ask(f"/{page}?limit=500" if page == "alerts" else f"/{page}")[page]
    name = (lambda one: f"alert {one['rules'][0]}, {one['status']}") if page == "alerts" else (lambda one: one["id"])
    return {name(one): f"#/{page}/{one['id']}" for one in things}
