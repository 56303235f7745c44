"""A small community in which everything that a page can show is there: alerts of every kind and status."""

import base64
import json
import struct
import time
import zlib

from gateway import ROOT, Gateway, Site

GRIDS = ("kaili-1", "kaili-2")

SITE = f"""
[alerts]
link_down_after = "1s"

[files]
models = "{ROOT / "models"}"
onnxruntime = "{ROOT / "target/onnxruntime/libonnxruntime.so"}"

# Nobody listens on these ports: what cannot be reached is shown, too.
[[upstream]]
name = "city"
url = "mqtt://127.0.0.1:9"

[[notify]]
name = "street-office"
kind = "webhook"
url = "http://127.0.0.1:9/alerts"
secret_file = "webhook.secret"
"""

PLACES = [
    ("school", "希望小学", "school", "kaili-1", "凯里市文化北路 10 号"),
    ("restaurant", "酸汤鱼馆", "restaurant", "kaili-1", "凯里市文化北路 16 号"),
    ("netbar", "星空网吧", "internet_cafe", "kaili-1", "凯里市文化北路 22 号"),
    ("clinic", "康宁诊所", "clinic", "kaili-1", "凯里市文化北路 12 号"),
    ("workshop", "银饰作坊", "workshop", "kaili-2", "凯里市韶山南路 26 号"),
    ("home-yang", "杨奶奶家", "home", "kaili-2", "凯里市韶山南路 28 号 2 单元 301"),
    ("home-wu", "吴爷爷家", "home", "kaili-2", "凯里市韶山南路 30 号 1 单元 502"),
]

DEVICES = [
    ("school-smoke", "ninewatch-smoke", "school", "食堂", ""),
    ("school-smoke-2", "ninewatch-smoke", "school", "库房", ""),
    ("restaurant-gas", "ninewatch-gas", "restaurant", "后厨", ""),
    ("restaurant-power", "ninewatch-electrical", "restaurant", "配电箱", ""),
    ("netbar-camera", "ninewatch-face-camera", "netbar", "入口", ""),
    ("netbar-smoke", "ninewatch-smoke", "netbar", "大厅", ""),
    ("clinic-water", "ninewatch-water", "clinic", "水泵间", ""),
    ("clinic-door", "ninewatch-door", "clinic", "前门", ""),
    ("workshop-smoke", "ninewatch-smoke", "workshop", "车间", ""),
    ("workshop-gas", "ninewatch-gas", "workshop", "熔炼间", ""),
    ("home-yang-bracelet", "ninewatch-bracelet", "home-yang", "随身", "elder_alone"),
    ("home-yang-presence", "ninewatch-presence", "home-yang", "卧室", "elder_alone"),
    ("home-wu-sos", "ninewatch-sos", "home-wu", "床头", "elder_alone"),
    ("home-wu-bracelet", "ninewatch-bracelet", "home-wu", "随身", "elder_alone"),
]


def fall():
    """A fall as a bracelet sends it: int16, 0.01 m/s² and 0.002 rad/s a count."""
    golden = json.loads((ROOT / "models/fall/golden.json").read_text())
    samples = next(burst["samples"] for burst in golden if burst["name"] == "tumble")
    counts = [round(value / (0.01, 0.01, 0.01, 0.002, 0.002, 0.002)[at % 6]) for at, value in enumerate(samples)]
    return base64.urlsafe_b64encode(struct.pack(f"<{len(counts)}h", *counts)).decode().rstrip("=")


def smoke(age_s, alarm=False, obscuration=0.2, temperature=21.5, battery=97):
    """A reading of a smoke detector."""
    values = {"smoke_alarm": alarm, "obscuration_percent_m": obscuration, "temperature_c": temperature}
    return age_s, values | {"battery_percent": battery}


def open_community():
    """A gateway on which all of that has happened."""
    site = Site(SITE)
    secret = base64.b64encode(bytes(32)).decode()
    (site.folder / "webhook.secret").write_text(f"whsec_{secret}\n")
    site.add_places(PLACES)
    site.add_devices(DEVICES)
    gateway = Gateway(site)
    minutes = range(40, 0, -1)

    # Closed: a leak that was none.
    gateway.publish("clinic-water", *((60 * m, {"pressure_mpa": 0.31, "leak": m < 20}) for m in minutes))
    leak = gateway.until_alert(lambda alert: alert["place"] == "clinic")
    gateway.act(leak, "accept", note="已电话核实")
    gateway.act(leak, "close", verdict="nuisance", note="拖地溅水，漏水绳已移位")

    # Handled: a loop that leaks current.
    load = ((60 * m, residual(m)) for m in minutes)
    gateway.publish("restaurant-power", *load)
    power = gateway.until_alert(lambda alert: alert["place"] == "restaurant")
    gateway.act(power, "accept")
    gateway.act(power, "dispatch", to="电工 张师傅")
    gateway.act(power, "handle", note="更换老化线缆，复测 18 mA")

    # Dispatched: somebody on the police's list. Accepted: a boy in an internet cafe.
    gateway.publish("netbar-camera", (900, {"match": "listed", "age_years": 34, "person": "p-81c4"}))
    listed = gateway.until_alert(lambda alert: "listed-person" in alert["rules"])
    gateway.act(listed, "accept")
    gateway.act(listed, "dispatch", to="社区民警 李警官", note="请着便装")
    gateway.publish("netbar-camera", (600, {"match": "known", "age_years": 14, "person": "p-1"}))
    boy = gateway.until_alert(lambda alert: "minor-admitted" in alert["rules"])
    if boy["status"] == "raised":
        gateway.act(boy, "accept")

    # Raised: smoke that rises, a gas detector, a fall, a button, an old battery.
    gateway.publish("school-smoke", *(smoke(60 * m, m < 2, round(0.2 + 9 / m, 2), 21.5 + 30 / m) for m in minutes))
    gateway.publish("school-smoke-2", *(smoke(60 * m) for m in minutes))
    gateway.publish("netbar-smoke", *(smoke(60 * m, battery=9) for m in minutes))
    gateway.publish("workshop-gas", *((60 * m, gas(m)) for m in minutes))
    gateway.publish("home-yang-bracelet", *((60 * m, vital(m)) for m in minutes), (20, {"motion": fall()}))
    gateway.publish("home-wu-bracelet", *((60 * m, vital(m)) for m in minutes))
    gateway.publish("home-wu-sos", (30, {"sos": True}))
    for wanted in ("smoke-alarm", "gas-alarm", "fall", "sos", "battery-low", "gateway-upstream-down"):
        gateway.until_alert(lambda alert, wanted=wanted: wanted in alert["rules"])
    open_street_office(gateway)
    return gateway


def open_street_office(gateway):
    """What people have written: who is on duty, where who lives, what a resident reported, a drill, a hand-over."""
    people = [
        {"id": "zhao", "name": "赵敏", "phone": "13800138000"},
        {"id": "zhang", "name": "张主任", "phone": "13900139000"},
    ]
    shifts = [
        {"title": "grid_member", "grids": ["kaili-1"], "hours": "08:00-20:00", "people": ["zhao"]},
        {"title": "leader", "people": ["zhang"]},
    ]
    swaps = [{"from": "2026-10-01", "to": "2026-10-03", "off": "zhao", "on": "zhang"}]
    change = {"version": gateway.ask("/roster")["version"], "people": people, "shifts": shifts, "swaps": swaps}
    gateway.ask("/roster", change, method="PUT")
    gateway.ask("/residents", {
        "place": "home-yang", "name": "杨秀英", "phone": "13700137000", "needs": ["walking", "hearing"],
        "contacts": [{"name": "杨军", "relation": "儿子", "phone": "13600136000"}], "note": "钥匙在门卫室",
    })  # fmt: skip
    gateway.ask("/plans/kaili-1/picture", plan(), method="PUT")
    gateway.ask("/plans/kaili-1/positions/school", {"x": 0.3, "y": 0.6}, method="PUT")
    code = gateway.ask("/grids/kaili-1/code", {}, method="POST")["code"]
    report = {"code": code, "key": "k" * 16, "scene": "fire", "text": "楼道里堆放电动车，正在充电", "phone": "13500135000"}
    gateway.ask("/matters", report)
    gateway.ask("/drills", {"place": "home-yang", "scene": "elder_care", "note": "每月一次"})
    open_walk_tests(gateway)
    now = round(time.time() * 1000)
    gateway.ask("/handovers", {"from_ms": now - 8 * 3_600_000, "to_ms": now, "text": "酸汤鱼馆的配电箱明早复测"})


def open_walk_tests(gateway):
    """One that is under way, and one with its certificate."""
    under_way = gateway.ask("/walk-tests", {"places": ["netbar", "home-wu"]})["id"]
    gateway.ask(f"/walk-tests/{under_way}/devices/netbar-camera", {"step": "begin"})
    finished = gateway.ask("/walk-tests", {"places": ["workshop"]})["id"]
    for device in ("workshop-smoke", "workshop-gas"):
        gateway.ask(f"/walk-tests/{finished}/devices/{device}", {"step": "fail", "reason": "现场断电，恢复后再测"})
    reasons = {"upstream:city": "平台尚未开通", "duty_room": "值班室装修中"}
    gateway.ask(f"/walk-tests/{finished}/finish", {"reasons": reasons})


def plan():
    """A picture to lay under the places: a grey PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xd8" * 320) * 200
    head = struct.pack(">IIBBBBB", 320, 200, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def residual(minute):
    """The values of an electrical monitor, so many minutes ago."""
    leaks = 320.0 + 5 * (10 - minute) if minute < 10 else 18.2 + minute % 3
    return {"residual_current_ma": leaks, "cable_temperature_c": 36.7, "current_a": 11.4, "voltage_v": 228.3}


def gas(minute):
    """The values of a gas detector."""
    level = 12.4 if minute < 3 else 0.6
    return {"co_ppm": 2.1, "lel_percent": level, "gas_alarm": minute < 3, "temperature_c": 24.5}


def vital(minute):
    """The values of a bracelet."""
    return {"heart_rate_bpm": 72 + minute % 5, "spo2_percent": 97.2, "body_temperature_c": 36.5, "worn": True}
