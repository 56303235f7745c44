"""The real gateway with a site of its own, its devices, and programs that use its API."""

import base64
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import paho.mqtt.client as mqtt

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("NINEWATCH_BIN", ROOT / "target/debug/ninewatch"))
PATIENCE_S = 30


class Site:
    """A folder with a site file and a data folder."""

    def __init__(self, more=""):
        self._folder = tempfile.TemporaryDirectory(prefix="ninewatch-browser-")
        self.folder = Path(self._folder.name)
        self.data = self.folder / "data"
        self.secrets = {}
        (self.folder / "site.toml").write_text(
            '[gateway]\nid = "kaili-01"\ndata_dir = "data"\n\n[sensor_port]\nlisten = "127.0.0.1:0"\n\n'
            f'[console]\nlisten = "127.0.0.1:0"\n\n{more}\n'
        )

    def command(self, what, *args):
        """What `ninewatch WHAT … ARGS` says."""
        line = [BINARY, what, "--data-dir", self.data, *args]
        done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, f"{args} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def add_places(self, rows):
        """Adds places, each (id, name, kind, grid, address)."""
        self._import("place", "id,name,kind,grid,address", rows)

    def add_devices(self, rows):
        """Adds devices, each (id, type, place, spot, person); their secrets are kept in `secrets`."""
        given = self.folder / "secrets.csv"
        self._import("device", "id,type,place,spot,person", rows, "--secrets", given)
        self.secrets.update(line.split(",") for line in given.read_text().splitlines()[1:])

    def add_account(self, name, role, *grids):
        """Adds an account; gives its password."""
        args = [arg for grid in grids for arg in ("--grid", grid)]
        return self.command("account", "add", name, "--role", role, *args).split()[-1]

    def _import(self, what, head, rows, *args):
        sheet = self.folder / f"{what}.csv"
        sheet.write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")
        self.command(what, "import", sheet, *args)

    def remove(self):
        """Ends it."""
        self._folder.cleanup()


class Gateway:
    """A running gateway. Its console keeps its port when it is killed and starts again."""

    def __init__(self, site):
        self.site = site
        self.account = None
        self.start()

    def start(self):
        """Starts it and waits until it serves."""
        ready = self.site.folder / "ready.json"
        ready.unlink(missing_ok=True)
        with (self.site.folder / "log.txt").open("a") as log:
            line = [BINARY, "run", "--site", self.site.folder / "site.toml", "--ready-file", ready]
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: ready.exists() or self.process.poll() is not None, "the gateway does not come up")
        assert self.process.poll() is None, (self.site.folder / "log.txt").read_text()
        told = json.loads(ready.read_text())
        host, port = told["sensor_port"].rsplit(":", 1)
        self.sensor_port = (host, int(port))
        self.console = f"http://{told['console']}"
        if told.get("password"):
            self.account = (told["account"], told["password"])
            site = self.site.folder / "site.toml"
            # Browsers come back to the port where it was.
            fixed = f'[console]\nlisten = "{told["console"]}"'
            site.write_text(site.read_text().replace('[console]\nlisten = "127.0.0.1:0"', fixed))

    def kill(self):
        """Ends it as a power cut does: SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends it and its site."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self.site.remove()

    def ask(self, path, body=None, account=None, method=None):
        """What the API answers; with a body, to a POST, or to what `method` says. Bytes are sent as a picture."""
        name, password = account or self.account
        basic = base64.b64encode(f"{name}:{password}".encode()).decode()
        is_picture = isinstance(body, bytes)
        headers = {
            "Authorization": f"Basic {basic}",
            "Content-Type": "image/png" if is_picture else "application/json",
        }
        data = body if body is None or is_picture else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.console}/api/v1{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{path}: {refused.code} {refused.read().decode()}") from None

    def until_alert(self, wanted):
        """Waits until an open alert is as wanted; gives it."""
        def found():
            return next((alert for alert in self.ask("/alerts?open=true&limit=500")["alerts"] if wanted(alert)), None)
        return until(found, "no such alert")

    def act(self, alert, verb, **body):
        """Does something with an alert."""
        return self.ask(f"/alerts/{alert['id']}/{verb}", body)

    def publish(self, device, *readings):
        """Publishes readings, each (seconds before now, {field: value}), and waits until all are acknowledged.

        Gives when the first left.
        """
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device)
        client.username_pw_set(device, self.site.secrets[device])
        done, refused, left, sent = threading.Event(), [], len(readings), []

        def connected(_client, _userdata, _flags, reason, _properties):
            if reason.is_failure:
                refused.append(reason)
                done.set()
                return
            sent.append(time.time())
            for age_s, values in readings:
                client.publish(f"ninewatch/{device}/readings", senml(device, time.time() - age_s, values), qos=1)

        def acknowledged(*_args):
            nonlocal left
            left -= 1
            if left == 0:
                done.set()

        client.on_connect, client.on_publish = connected, acknowledged
        client.max_inflight_messages_set(200)
        client.connect(*self.sensor_port)
        client.loop_start()
        assert done.wait(PATIENCE_S), f"{device} got no acknowledgement"
        client.disconnect()
        client.loop_stop()
        assert not refused, f"{device} was refused: {refused}"
        return sent[0]


def senml(device, at_s, values):
    """Readings as a native device sends them (RFC 8428)."""
    def record(name, value):
        if isinstance(value, bool):
            return {"n": name, "vb": value}
        key = "v" if isinstance(value, (int, float)) else "vd" if name == "motion" else "vs"
        return {"n": name, key: value}

    records = [record(name, value) for name, value in values.items()]
    records[0] |= {"bn": f"{device}/", "bt": round(at_s, 3)}
    return json.dumps(records)


def until(so, otherwise):
    """Waits until `so()` gives something; gives it."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = so()
        if found:
            return found
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)
