#!/usr/bin/env python3
"""The image boots, raises an alarm and tells a city outside; its power is cut under load, and all is found again.

`make test-image` runs it, after `make image` and `make build`. It is slow: an emulated processor boots for a minute or two.
What QEMU was handed is Debian's kernel on a `virt` board: the Pi's own boot program is not tried here.
"""

import argparse
import json
import socket
import subprocess
import threading
import time
import urllib.request
from base64 import b64encode
from pathlib import Path

from outside import City, Device
from vm import Card, Machine, folder_of, free_port, run

GATEWAY = "Kaili_7"
BOOT_LIMIT_S = 600


def write_site(ninewatch, folder, city_port):
    """What `ninewatch flash` injects: the folder `ninewatch` of docs/image.md. Gives secrets and the password."""
    ours = folder / "ninewatch"
    data = ours / "data"
    data.mkdir(parents=True)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", ours / "server.key", "-out", ours / "server.pem")
    (folder / "ca.pem").write_bytes((ours / "server.pem").read_bytes())
    (ours / "site.toml").write_text(f"""[gateway]
id = "{GATEWAY}"
data_dir = "/var/lib/ninewatch"

[sensor_port.tls]
listen = "0.0.0.0:8883"
cert = "server.pem"
key = "server.key"

[console]
listen = "0.0.0.0:8080"
plain_http = true

[[upstream]]
name = "city"
url = "mqtt://10.0.2.2:{city_port}"
""")
    run(ninewatch, "place", "--data-dir", data, "add", "kitchen", "--name", "酸汤鱼馆", "--kind", "restaurant", "--grid", "g1")
    names = ["smoke-1"] + [f"sos-{number}" for number in range(8)]
    secrets = {name: run(ninewatch, "device", "--data-dir", data, "add", name, "--type",
                         f"ninewatch-{name.split('-')[0]}", "--place", "kitchen").strip() for name in names}
    password = run(ninewatch, "account", "--data-dir", data, "add", "duty").strip()
    return ours, secrets, password


def ask(port, password, path):
    """GETs a path; nothing where it does not answer yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    request.add_header("Authorization", "Basic " + b64encode(f"duty:{password}".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def must_score(port, password):
    """The models are scored: figures of a gateway that has only its rules would mean nothing."""
    parts = {part["name"]: part for part in json.loads(ask(port, password, "/api/v1/health"))["parts"]}
    if parts["models"]["status"] != "ok":
        raise SystemExit(f"no models: {parts['models']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=Path("target/image/ninewatch-arm64.img"))
    parser.add_argument("--ninewatch", type=Path, default=Path("target/release/ninewatch"), help="for this machine")
    parser.add_argument("--load-s", type=float, default=20, help="seconds under load before the power is cut")
    args = parser.parse_args()
    begun = time.monotonic()
    for needed in (args.image, args.ninewatch):
        if not needed.exists():
            raise SystemExit(f"{needed} is not there: run `make build` and `make image` first")

    folder = folder_of("test")
    report = {}
    city_port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {city_port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    broker = subprocess.Popen(["mosquitto", "-c", str(folder / "mosquitto.conf")], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    machine = None
    try:
        ours, secrets, password = write_site(args.ninewatch, folder, city_port)
        time_limit = time.monotonic() + 10
        while True:
            try:
                city = City(GATEWAY, city_port)
                break
            except OSError:
                if time.monotonic() > time_limit:
                    raise
                time.sleep(0.05)
        card = Card(args.image, folder, 4096)
        before = card.partitions()[2][1]
        card.put(ours)
        key = folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        ports = {8080: free_port(), 8883: free_port(), 22: free_port()}

        def boot(what):
            machine = Machine(card, folder, ports)
            _, seconds = machine.until(what, lambda: ask(ports[8080], password, "/api/v1/health"), BOOT_LIMIT_S)
            report[f"{what}_s"] = round(seconds, 1)
            print(f"{what}: the API answers after {seconds:.0f} s", flush=True)
            return machine

        # A card from the shop: it takes in its files, grows, and serves.
        machine = boot("first boot")
        must_score(ports[8080], password)
        smoke = Device("smoke-1", secrets["smoke-1"], ports[8883], folder / "ca.pem")
        if not smoke.connected.wait(60):
            raise SystemExit("the smoke detector is not let in")
        sent = time.monotonic()
        smoke.publish("smoke_alarm", True).wait_for_publish(60)
        report["alarm_acknowledged_ms"] = round((time.monotonic() - sent) * 1000)
        city.until("the smoke alarm", lambda city: city.critical_of("smoke-1"), 60)
        report["alarm_at_the_city_ms"] = round((time.monotonic() - sent) * 1000)
        print(f"smoke alarm: acknowledged after {report['alarm_acknowledged_ms']} ms, at the city after "
              f"{report['alarm_at_the_city_ms']} ms", flush=True)
        if ssh_answers(ports[22]):
            raise SystemExit("SSH answers, and nobody gave a key")

        # The power goes while eight buttons are pressed without a pause.
        buttons = [Device(name, secret, ports[8883], folder / "ca.pem")
                   for name, secret in secrets.items() if name.startswith("sos")]
        for button in buttons:
            if not button.connected.wait(60):
                raise SystemExit(f"{button.name} is not let in")
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
        time.sleep(args.load_s)
        machine.cut()
        stop.set()
        for device in [smoke, *buttons]:
            device.end()
        acknowledged = set().union(*(device.acknowledged for device in [smoke, *buttons]))
        report["acknowledged"] = len(acknowledged)
        report["acknowledged_per_s"] = round((len(acknowledged) - 1) / args.load_s)
        print(f"power cut after {len(acknowledged)} acknowledgements", flush=True)
        if card.has("ninewatch"):
            raise SystemExit("secrets are still on the first partition")
        grown = card.partitions()[2][1]
        if grown < before * 10:
            raise SystemExit(f"the data partition has not grown: {before} to {grown} bytes")

        # It goes on. With the card in a computer somebody has added a key: now SSH lets in.
        again = folder / "again" / "ninewatch"
        again.mkdir(parents=True)
        (again / "site.toml").write_text((ours / "site.toml").read_text())
        (again / "authorized_keys").write_text((folder / "key.pub").read_text())
        card.put(again)
        machine = boot("boot after the cut")
        for name in secrets:
            city.until(f"an alert of {name}", lambda city, name=name: city.critical_of(name), 120)
        look_inside(machine, ports[22], key, report)
        machine.ended(180)

        data = card.data(folder)
        recorded = {json.loads(line)["payload"] for line in run(args.ninewatch, "journal", data).splitlines()}
        lost = acknowledged - recorded
        if lost:
            raise SystemExit(f"{len(lost)} of {len(acknowledged)} acknowledged readings are lost: {sorted(lost)[:5]}")
        run(args.ninewatch, "replay", data)
        report["lost"] = 0
        native(args.ninewatch, folder, password, report)
    finally:
        if machine and machine.process.poll() is None:
            machine.cut()
        broker.terminate()
        broker.wait()
    report["test_took_s"] = round(time.monotonic() - begun)
    Path("target/image/report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(report, indent=2, ensure_ascii=False))


def ssh_answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as at:
            at.settimeout(5)
            return at.recv(4).startswith(b"SSH")
    except OSError:
        return False


def look_inside(machine, port, key, report):
    """What only somebody on the machine sees: by the key that came with the card."""
    machine.until("SSH", lambda: ssh_answers(port), BOOT_LIMIT_S)

    def inside(command):
        return run("ssh", "-i", key, "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                   "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "root@127.0.0.1", command)

    def must(what, command, part):
        said = inside(command)
        if part not in said:
            raise SystemExit(f"{what}: `{command}` says {said}")

    must("the host's name", "cat /proc/sys/kernel/hostname", "ninewatch-kaili-7")
    must("a read-only root", "findmnt -no OPTIONS /", "ro,")
    must("the firewall", "nft list table inet ninewatch", "tcp dport 8883 accept")
    must("the firewall", "nft list table inet ninewatch", "policy drop")
    must("time synchronisation", "systemctl is-active systemd-timesyncd", "active")
    must("mDNS", "resolvectl mdns", "yes")
    must("the log of both boots", "journalctl --list-boots | grep -c '^ *-*[0-9]'", "2")
    failed = inside("systemctl --failed --plain --no-legend").strip()
    if failed:
        raise SystemExit(f"units failed: {failed}\n{inside('journalctl -b -p warning --no-pager | tail -60')}")
    shown = dict(line.split("=", 1) for line in
                 inside("systemctl show ninewatch -p MainPID -p CPUUsageNSec").split() if "=" in line)
    status = inside(f"grep VmRSS /proc/{shown['MainPID']}/status")
    report["arm64_rss_mib"] = round(int(status.split()[1]) / 1024, 1)
    report["arm64_cpu_s_since_start"] = round(int(shown["CPUUsageNSec"]) / 1e9, 1)
    report["arm64_systemd"] = inside("systemd-analyze time | head -1").strip()
    took = dict(line.split("=", 1) for line in inside(
        "systemctl show ninewatch -p ExecMainStartTimestampMonotonic -p ActiveEnterTimestampMonotonic").split())
    report["arm64_start_to_ready_s"] = round(
        (int(took["ActiveEnterTimestampMonotonic"]) - int(took["ExecMainStartTimestampMonotonic"])) / 1e6, 2)
    report["arm64_used_mib"] = int(inside("free -m | awk '/Mem:/ { print $3 }'"))
    inside("systemctl poweroff --no-block")


def native(ninewatch, folder, password, report):
    """The same program and data on this machine, for the figures beside."""
    site = folder / "native.toml"
    site.write_text(f'[gateway]\nid = "{GATEWAY}"\ndata_dir = "{folder}/data/gateway"\n\n'
                    '[console]\nlisten = "127.0.0.1:0"\n\n[sensor_port]\nlisten = "127.0.0.1:0"\n')
    ready = folder / "native.json"
    begun = time.monotonic()
    with open(folder / "native.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen([str(ninewatch), "run", "--site", str(site), "--ready-file", str(ready)],
                                   stdout=log, stderr=log)
    try:
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - begun > 60:
                raise SystemExit(f"it does not start on this machine: {(folder / 'native.log').read_text()}")
            time.sleep(0.01)
        report["x86_64_start_to_ready_s"] = round(time.monotonic() - begun, 2)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        report["x86_64_rss_mib"] = round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)
        must_score(json.loads(ready.read_text(encoding="utf-8"))["console"].rpartition(":")[2], password)
        ticks = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[11:13]
        report["x86_64_cpu_s_since_start"] = round(sum(map(int, ticks)) / 100, 1)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
