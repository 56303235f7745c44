#!/usr/bin/env python3
"""A flashed card boots, raises an alarm and tells a city outside; its power is cut under load, and all is found again.

`make test-image` runs it, after `make image` and `make build`. It is slow: an emulated processor boots for a minute or two.
What QEMU was handed is Debian's kernel on a `virt` board: the Pi's own boot program is not tried here.
"""

import argparse
import csv
import json
import os
import re
import threading
import time
from pathlib import Path

import figures
from outside import HOST, City, Console, Device, Repository, mosquitto
from vm import BOARDS, Card, Machine, folder_of, free_port, run, ssh_answers

GATEWAY = "Kaili_7"
CITY_PASSWORD = "the city's"
BUTTONS = [f"sos-{number}" for number in range(8)]
DEVICES = ["smoke-1", *BUTTONS]
NEWER = "99.0.0"
BOOT_LIMIT_S = 1500


def flash(ninewatch, image, folder, city_port, more):
    """A card as an installer makes one. Gives its file, the devices' secrets, the account's password, the gateway's CA."""
    (folder / "city.password").write_text(CITY_PASSWORD)
    (folder / "site.toml").write_text(f"""[gateway]
id = "{{id}}"
data_dir = "/var/lib/ninewatch"

[sensor_port.tls]
listen = "0.0.0.0:8883"
cert = "port.pem"
key = "port.key"

[console]
listen = "0.0.0.0:8080"

[[upstream]]
name = "city"
url = "mqtt://10.0.2.2:{city_port}"
username = "{{id}}"
password_file = "city.password"
{more}""")
    registry = '[[place]]\nid = "kitchen"\nname = "酸汤鱼馆"\nkind = "restaurant"\ngrid = "g1"\n'
    for name in DEVICES:
        registry += f'\n[[device]]\nid = "{name}"\ntype = "ninewatch-{name.split("-")[0]}"\nplace = "kitchen"\n'
    (folder / "registry.toml").write_text(registry)
    card, sheet, secrets = (folder / name for name in ("card.img", "sheet.html", "secrets.csv"))
    run(ninewatch, "--lang", "en", "flash", "--image", image, "--file", card, "--site", folder / "site.toml", "--id", GATEWAY,
        "--registry", folder / "registry.toml", "--secrets", secrets, "--port-certificate", "--at", "酸汤鱼馆",
        "--sheet", sheet, "--yes")
    with open(secrets, encoding="utf-8") as rows:
        given = {row["id"]: row["secret"] for row in csv.DictReader(rows)}
    password = re.search(r"password</span></dt><dd><code>([^<]+)", sheet.read_text(encoding="utf-8")).group(1)
    return card, given, password, folder / "sheet.ca.crt"


def release(ninewatch, folder, version):
    """The same program as a newer version in a signed repository. Gives the repository and the key that gateways trust."""
    repository, keys, packages = folder / "repository", folder / "keys", folder / "packages"
    said = run(ninewatch, "--lang", "en", "release", "key", "--to", keys)
    run("bash", "deploy/deb.sh", "arm64", env={**os.environ, "VERSION": version, "OUT": str(packages)})
    signed = ["--repo", repository, "--key", keys / "release-key.pem"]
    run(ninewatch, "release", "add", *signed, packages / f"ninewatch_{version}_arm64.deb")
    run(ninewatch, "release", "ring", *signed, "all", f"program={version}")
    return repository, re.search(r'key = "(ed25519:[^"]+)"', said).group(1)


class Story:
    """One gateway from its card on, with what its devices were promised."""

    def __init__(self, args, folder):
        self.args, self.folder, self.report = args, folder, {}
        self.city_port = free_port()
        self.broker = mosquitto(folder, self.city_port, {GATEWAY: CITY_PASSWORD, "city": CITY_PASSWORD})
        self.city = City(GATEWAY, self.city_port, CITY_PASSWORD)
        repository_port = free_port()
        repository, key = release(args.ninewatch, folder, NEWER)
        self.repository = Repository(repository, repository_port)
        more = (f'\n[update]\nrepository = "http://10.0.2.2:{repository_port}"\nkey = "{key}"\n'
                'trial = "3m"\nready_within = "5m"\n')
        begun = time.monotonic()
        file, self.secrets, self.password, self.ca = flash(args.ninewatch, args.image, folder, self.city_port, more)
        self.report["flash_s"] = round(time.monotonic() - begun, 1)
        self.card = Card(file, 4096)
        self.ports = {8080: free_port(), 8883: free_port(), 22: free_port()}
        self.console = Console(f"https://{HOST}:{self.ports[8080]}", self.password, self.ca)
        self.acknowledged = set()
        self.machine = None

    def boot(self, what):
        """Puts the card in and waits for the API."""
        self.machine = Machine(self.card, self.folder, self.ports, self.args.board)
        _, seconds = self.machine.until(what, lambda: self.console.ask("/api/v1/health"), BOOT_LIMIT_S)
        self.report[f"{what}_s"] = round(seconds, 1)
        print(f"{what}: the API answers after {seconds:.0f} s", flush=True)

    def device(self, name):
        """Lets a device connect with what `flash` gave it."""
        device = Device(name, self.secrets[name], self.ports[8883], self.ca)
        if not device.connected.wait(60):
            raise SystemExit(f"{name} is not let in")
        return device

    def alarm(self):
        """A smoke alarm is at the city, and SSH is closed."""
        self.console.must_score()
        if "ninewatch_clock_trusted 0" not in self.console.ask("/metrics"):
            raise SystemExit("nobody has told the machine the time, and the gateway trusts it")
        smoke = self.device("smoke-1")
        sent = time.monotonic()
        smoke.publish("smoke_alarm", True).wait_for_publish(60)
        acknowledged_ms = round((time.monotonic() - sent) * 1000)
        self.city.until("the smoke alarm", lambda city: city.critical_of("smoke-1"), 60)
        city_ms = round((time.monotonic() - sent) * 1000)
        self.report |= {"alarm_acknowledged_ms": acknowledged_ms, "alarm_at_the_city_ms": city_ms}
        print(f"smoke alarm: acknowledged after {acknowledged_ms} ms, at the city after {city_ms} ms", flush=True)
        if ssh_answers(self.ports[22]):
            raise SystemExit("SSH answers, and nobody gave a key")
        smoke.end()
        self.acknowledged |= smoke.acknowledged

    def cut_under_load(self, seconds):
        """The power goes while eight buttons are pressed without a pause."""
        buttons = [self.device(name) for name in BUTTONS]
        stop = threading.Event()

        def press(button):
            pressed = True
            while not stop.is_set():
                info = button.publish("sos", pressed)
                pressed = not pressed
                try:
                    info.wait_for_publish(5)
                except RuntimeError:
                    return

        threads = [threading.Thread(target=press, args=(button,), daemon=True) for button in buttons]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.machine.cut()
        stop.set()
        for button in buttons:
            button.end()
        promised = set().union(*(button.acknowledged for button in buttons))
        if not promised:
            raise SystemExit("nothing was acknowledged under load")
        self.acknowledged |= promised
        self.report |= {"acknowledged": len(self.acknowledged), "acknowledged_per_s": round(len(promised) / seconds)}
        print(f"power cut after {len(promised)} acknowledgements", flush=True)

    def updated(self, what, found):
        """Waits until updates stand so, as the API tells."""
        def look():
            stands = json.loads(self.console.ask("/api/v1/update"))
            return stands if found(stands) else None
        return self.machine.until(what, look, BOOT_LIMIT_S)[0]

    def cut_during_update(self):
        """The power goes while a newer program is fetched, and once more while it is on trial. It is at work in the end."""
        # Nothing is changed beside a critical alert that nobody has in hand.
        for alert in json.loads(self.console.ask("/api/v1/alerts?status=raised"))["alerts"]:
            self.console.ask(f"/api/v1/alerts/{alert['id']}/accept", {})
        self.console.ask("/api/v1/update/now", {})
        served = self.repository.served
        self.machine.until("the download", lambda: self.repository.served > served + (4 << 20), BOOT_LIMIT_S)
        self.machine.cut()
        print("power cut in the middle of the download", flush=True)
        self.boot("boot_after_the_cut_download")
        self.console.ask("/api/v1/update/now", {})
        self.updated("a trial", lambda stands: stands["trial"])
        self.machine.cut()
        print("power cut while the newer program is on trial", flush=True)
        self.boot("boot_on_trial")
        begun = time.monotonic()
        self.updated("the newer program at work", lambda stands: stands["version"] == NEWER and not stands["trial"])
        self.report["confirmed_after_s"] = round(time.monotonic() - begun)
        button = self.device(BUTTONS[0])
        button.publish("sos", True).wait_for_publish(60)
        button.end()
        self.acknowledged |= button.acknowledged
        print(f"{NEWER} is at work, and takes alarms", flush=True)

    def end(self):
        """Stops what still runs."""
        if self.machine and self.machine.process.poll() is None:
            self.machine.cut()
        self.broker.terminate()
        self.broker.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=Path("target/image/ninewatch-arm64.img"))
    parser.add_argument("--ninewatch", type=Path, default=Path("target/release/ninewatch"), help="for this machine")
    parser.add_argument("--board", choices=BOARDS, default="virt", help="raspi3b is nearer to a Pi, and slower")
    parser.add_argument("--load-s", type=float, default=20, help="seconds under load before the power is cut")
    args = parser.parse_args()
    begun = time.monotonic()
    for needed in (args.image, args.ninewatch):
        if not needed.exists():
            raise SystemExit(f"{needed} is not there: run `make build` and `make image` first")

    folder = folder_of("test")
    story = Story(args, folder)
    try:
        before = story.card.partitions()[2][1]
        story.boot("first_boot")
        story.alarm()
        story.cut_under_load(args.load_s)
        if story.card.has("ninewatch"):
            raise SystemExit("secrets are still on the first partition")
        grown = story.card.partitions()[2][1]
        if grown < before * 10:
            raise SystemExit(f"the data partition has not grown: {before} to {grown} bytes")

        # It goes on. With the card in a computer somebody has added a key: now SSH lets in.
        key = folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        again = folder / "again" / "ninewatch"
        again.mkdir(parents=True)
        site = (folder / "site.toml").read_text(encoding="utf-8").replace("{id}", GATEWAY)
        (again / "site.toml").write_text(site, encoding="utf-8")
        (again / "authorized_keys").write_text((folder / "key.pub").read_text())
        story.card.put(again)
        story.boot("boot_after_the_cut")
        for name in DEVICES:
            story.city.until(f"an alert of {name}", lambda city, name=name: city.critical_of(name), 120)
        story.cut_during_update()
        figures.look_inside(story.machine, story.ports[22], key, story.report)
        story.machine.ended(180)

        data = story.card.data(folder)
        recorded = {json.loads(line)["payload"] for line in run(args.ninewatch, "journal", data).splitlines()}
        lost = story.acknowledged - recorded
        if lost:
            raise SystemExit(f"{len(lost)} of {len(story.acknowledged)} acknowledged readings are lost: {sorted(lost)[:5]}")
        run(args.ninewatch, "replay", data)
        story.report["lost"] = 0
        figures.native(args.ninewatch, folder, GATEWAY, story.password, story.report)
    finally:
        story.end()
    story.report["board"] = args.board
    story.report["test_took_s"] = round(time.monotonic() - begun)
    Path(f"target/image/report-{args.board}.json").write_text(json.dumps(story.report, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(story.report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
