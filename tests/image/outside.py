"""What stands outside the machine: a city that takes its alerts, and devices that report to it."""

import json
import ssl
import threading
import time

import paho.mqtt.client as mqtt


class City:
    """The upstream of `gateway`: takes every change of an alert from a real mosquitto, with receipts (docs/upstream.md)."""

    def __init__(self, gateway, port):
        self.gateway = gateway
        self.events = {}
        self.taken = set()
        self.came = threading.Condition()
        self.epoch, self.first = None, 1
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "city", protocol=mqtt.MQTTv5)
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
        client.connect("127.0.0.1", port, keepalive=60)
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
