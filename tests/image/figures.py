"""What the emulated arm64 machine takes, and the same program and data on this machine beside it."""

import json
import subprocess
import time
from pathlib import Path

from outside import Console
from vm import run, ssh_answers

SSH_LIMIT_S = 600


def look_inside(machine, port, key, report):
    """What only somebody on the machine sees: by the key that came with the card. Shuts it down."""
    machine.until("SSH", lambda: ssh_answers(port), SSH_LIMIT_S)

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
    failed = inside("systemctl --failed --plain --no-legend").strip()
    if failed:
        raise SystemExit(f"units failed: {failed}\n{inside('journalctl -b -p warning --no-pager | tail -60')}")

    def shown(*properties):
        said = inside("systemctl show ninewatch " + " ".join(f"-p {name}" for name in properties))
        return dict(line.split("=", 1) for line in said.split() if "=" in line)

    now = shown("CPUUsageNSec")
    # A program that was on trial is a child of the launcher until the next start.
    status = inside("grep VmRSS /proc/$(pgrep -n ninewatch)/status")
    report["arm64_rss_mib"] = round(int(status.split()[1]) / 1024, 1)
    report["arm64_cpu_s_since_start"] = round(int(now["CPUUsageNSec"]) / 1e9, 1)
    report["arm64_systemd"] = inside("systemd-analyze time | head -1").strip()
    took = shown("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    report["arm64_start_to_ready_s"] = round(
        (int(took["ActiveEnterTimestampMonotonic"]) - int(took["ExecMainStartTimestampMonotonic"])) / 1e6, 2)
    report["arm64_used_mib"] = int(inside("free -m | awk '/Mem:/ { print $3 }'"))
    must("the log of all boots", "journalctl --list-boots | grep -c '^ *-*[0-9]'", "4")
    inside("systemctl poweroff --no-block")


def native(ninewatch, folder, gateway, password, report):
    """Starts from the data that the card holds."""
    site = folder / "native.toml"
    site.write_text(f'[gateway]\nid = "{gateway}"\ndata_dir = "{folder}/data/gateway"\n\n'
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
        at = json.loads(ready.read_text(encoding="utf-8"))["console"]
        Console(f"http://{at}", password).must_score()
        ticks = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[11:13]
        report["x86_64_cpu_s_since_start"] = round(sum(map(int, ticks)) / 100, 1)
    finally:
        process.terminate()
        process.wait()
