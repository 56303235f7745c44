"""What stands outside the machine: a city that takes its alerts, devices that report to it, and a browser's trust."""

import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode

import paho.mqtt.client as mqtt

from vm import run

# By this name its certificates are good. In a community mDNS answers for it; here it is one of this machine's.
HOST = "ninewatch-kaili-7.local"
_resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: _resolve("127.0.0.1" if host == HOST else host, *more, **named)


def mosquitto(folder, port, passwords):
    """A broker on loopback that lets in who has a password. Runs until it is terminated."""
    users = folder / "mosquitto.users"
    users.touch(mode=0o600)
    for name, password in passwords.items():
        run("mosquitto_passwd", "-b", users, name, password)
    conf = folder / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\nuser root\n")
    process = subprocess.Popen(["mosquitto", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 10
    while time.monotonic() < limit and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.05)
    raise SystemExit("mosquitto does not come up")


class Console:
    """A gateway's API; over HTTPS by the CA that came with its sheet."""

    def __init__(self, base, password, ca=None):
        self.base = base
        self.trust = ssl.create_default_context(cafile=str(ca)) if ca else None
        self.headers = {"Authorization": "Basic " + b64encode(f"duty:{password}".encode()).decode()}

    def ask(self, path, body=None):
        """GETs a path, or POSTs JSON to it; `OSError` where nobody answers."""
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, sent, {"Content-Type": "application/json", **self.headers})
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.trust) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from error
        except urllib.error.URLError as error:
            # Nobody answers yet, or somebody whom a phone with the sheet's CA would not trust.
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise SystemExit(f"a browser would not trust the gateway: {error.reason}") from error
            raise

    def must_score(self):
        """The models are scored: figures of a gateway that has only its rules would mean nothing."""
        parts = {part["name"]: part for part in json.loads(self.ask("/api/v1/health"))["parts"]}
        if parts["models"]["status"] != "ok":
            raise SystemExit(f"no models: {parts['models']}")


class Repository:
    """A folder of signed releases behind a slow web server that can go on where it was cut off."""

    PIECE, PAUSE_S = 65536, 0.02

    def __init__(self, folder, port):
        self.served = 0
        repository = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                file = folder / self.path.lstrip("/")
                if not file.is_file():
                    return self.send_error(404)
                content = file.read_bytes()
                begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                at = int(begin.group(1)) if begin else 0
                self.send_response(206 if begin else 200)
                if begin:
                    self.send_header("Content-Range", f"bytes {at}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - at))
                self.end_headers()
                for start in range(at, len(content), repository.PIECE):
                    try:
                        self.wfile.write(content[start:start + repository.PIECE])
                    except ConnectionError:
                        return None  # the machine's power is cut
                    repository.served += repository.PIECE
                    time.sleep(repository.PAUSE_S)
                return None

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()


class City:
    """The upstream of `gateway`: takes every change of an alert from a real mosquitto, with receipts (docs/upstream.md)."""

    def __init__(self, gateway, port, password):
        self.gateway = gateway
        self.events = {}
        self.taken = set()
        self.came = threading.Condition()
        self.epoch, self.first = None, 1
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "city", protocol=mqtt.MQTTv5)
        client.username_pw_set("city", password)
        client.on_connect = lambda client, *_: client.subscribe(f"ninewatch/v1/{gateway}/#", qos=1)
        client.on_message = self._take
        client.connect("127.0.0.1", port, clean_start=False)
        client.loop_start()
        self.client = client

    def _take(self, _client, _userdata, message):
        if message.topic.endswith("/actions"):
            return
        event = json.loads(message.payload)
        answers = event["id"]
        with self.came:
            if message.topic.endswith("/status"):
                if event["type"] != "cn.ninewatch.online":
                    return
                if event["data"]["epoch"] != self.epoch:
                    self.epoch, self.first = event["data"]["epoch"], event["data"]["first"]
            else:
                self.taken.add(int(event["sequence"]))
                self.events[event["id"]] = event
            up_to = self.first - 1
            while up_to + 1 in self.taken:
                up_to += 1
            receipt = {"epoch": self.epoch, "up_to": up_to, "also": sorted(n for n in self.taken if n > up_to),
                       "answers": answers}
            self.came.notify_all()
        self.client.publish(f"ninewatch/v1/{self.gateway}/actions", json.dumps(
            {"specversion": "1.0", "id": f"r-{answers}", "source": "/city", "type": "cn.ninewatch.receipt",
             "data": receipt}), qos=1)

    def until(self, what, found, limit_s):
        with self.came:
            if not self.came.wait_for(lambda: found(self), limit_s):
                raise SystemExit(f"the city has not got {what} after {limit_s} s: {sorted(self.taken)}")

    def critical_of(self, device):
        return [event for event in self.events.values()
                if event["data"]["alert"]["severity"] == "critical" and device in event["data"]["alert"]["devices"]]


class Device:
    """A device over TLS with its own credential. What it has the acknowledgement of stands in `acknowledged`."""

    def __init__(self, name, secret, port, ca):
        self.name, self.sent, self.acknowledged, self.connected = name, {}, set(), threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        client.username_pw_set(name, secret)
        client.tls_set(str(ca), cert_reqs=ssl.CERT_REQUIRED)
        client.on_connect = lambda *_: self.connected.set()
        client.on_publish = self._on_publish
        client.connect(HOST, port, keepalive=60)
        client.loop_start()
        self.client = client

    def publish(self, field, value):
        at_s = round(time.time(), 3)
        payload = json.dumps([{"bn": f"{self.name}/", "bt": at_s, "n": field, "vb": value}])
        info = self.client.publish(f"ninewatch/{self.name}/readings", payload, qos=1)
        self.sent[info.mid] = payload
        return info

    def _on_publish(self, _client, _userdata, mid, _reason, _properties):
        payload = self.sent.get(mid)
        if payload:
            self.acknowledged.add(payload)

    def end(self):
        self.client.loop_stop()
