"""People at their boards, for the benchmark: watchers.py CONSOLE COUNT

Standard input has the account and its password in the first line. Prints `ready` when every board is live, and after a
line with the number of alerts, when each board has them all: {place: [when its card was there, in ms since 1970]}.
"""

import contextlib
import json
import sys
from types import SimpleNamespace

import browsing

console, count = sys.argv[1], int(sys.argv[2])
why = browsing.missing()
if why:
    sys.exit(f"SKIPPED: {why}")
gateway = SimpleNamespace(console=console, account=sys.stdin.readline().split())
with contextlib.ExitStack() as stack:
    come = stack.enter_context(browsing.people(stack.enter_context(browsing.chromium()), gateway))
    everybody = [come() for _ in range(count)]
    for person in everybody:
        person.html("feed", "live")
        person.page.evaluate(browsing.NOTE_CARDS)
    print("ready", flush=True)
    alerts = int(sys.stdin.readline())
    seen = {}
    for person in everybody:
        person.page.wait_for_function("(all) => Object.keys(window.cards).length >= all", arg=alerts, timeout=120_000)
        for place, at in person.page.evaluate("window.cards").items():
            seen.setdefault(place, []).append(at)
    print(json.dumps(seen), flush=True)
