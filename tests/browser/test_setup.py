"""An installer sets a gateway up with a phone: place, device by its code, broker, and the first reading comes in."""

import json
import os
import re
import shutil
import socket
import subprocess

import browsing
import paho.mqtt.client as mqtt
import pytest
from axe_playwright_python.sync_playwright import Axe
from gateway import Gateway, Site, until
from PIL import Image, ImageDraw
from playwright.sync_api import expect

PHONE = (360, 740)
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
ZIGBEE = [
    {"ieee_address": "0x00124b0000000001", "friendly_name": "Coordinator", "type": "Coordinator"},
    {"ieee_address": "0x00158d0000000002", "friendly_name": "一楼 烟感", "type": "EndDevice", "definition": {
        "vendor": "Heiman", "model": "HS1SA-E", "description": "Smoke detector",
        "exposes": [{"type": "binary", "property": "smoke"}]}},
]  # fmt: skip


@pytest.fixture
def gateway():
    """A gateway fresh from its card: nothing is registered."""
    running = Gateway(Site())
    yield running
    running.stop()


@pytest.fixture
def mosquitto(tmp_path):
    """A mosquitto on which Zigbee2MQTT has left its lists; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    process = subprocess.Popen([MOSQUITTO, "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, "mosquitto does not come up")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, said in [("info", {"version": "2.6.0"}), ("devices", ZIGBEE)]:
        client.publish(f"zigbee2mqtt/bridge/{topic}", json.dumps(said), qos=1, retain=True).wait_for_publish(10)
    yield port, client
    client.disconnect()
    client.loop_stop()
    process.terminate()
    process.wait()


def photograph(code, path):
    """A phone's picture of a label on a box: turned a little, on gray."""
    scale = 12
    label = Image.new("L", (code["size"] * scale,) * 2, 250)
    draw = ImageDraw.Draw(label)
    for x, y in re.findall(r"M(\d+),(\d+)h1v1h-1z", code["path"]):
        left, top = int(x) * scale, int(y) * scale
        draw.rectangle([left, top, left + scale - 1, top + scale - 1], fill=25)
    picture = Image.new("L", (2400, 1800), 150)
    turned = label.rotate(7, expand=True, fillcolor=150)
    picture.paste(turned, (900, 500))
    picture.convert("RGB").save(path, "JPEG", quality=80)
    return path


def picture(person, name):
    """Where pictures are wanted, what somebody sees."""
    if folder := os.environ.get("SETUP_PICTURES"):
        person.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def sound(person):
    """Nothing is cut off at the side, and nothing is in the way of whoever cannot see or point."""
    person.settle()
    wide = person.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} px stand over the side"
    found = Axe().run(person.page).response["violations"]
    wrong = [f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in found if one["impact"] in ("serious", "critical")]
    assert not wrong, wrong


def test_a_place_and_a_device_by_its_code_on_a_phone(browser, gateway, tmp_path):
    # A label that was printed before, of a device that is not here any more.
    gateway.ask("/places", {"id": "old", "name": "旧", "kind": "shop", "grid": "g"})
    gateway.ask("/devices", {"id": "gas-box-7", "type": "ninewatch-gas", "place": "old"})
    label = gateway.ask("/devices/gas-box-7/label")
    gateway.ask("/devices/gas-box-7", method="DELETE")
    gateway.ask("/places/old", method="DELETE")
    shot = photograph(label["code"], tmp_path / "box.jpg")

    with browsing.people(browser, gateway, size=PHONE) as come:
        admin = come()
        page = admin.page
        # Nothing is set up yet: that is where one is led.
        page.wait_for_url("**/#/setup")
        expect(page.locator(".setup-state")).to_contain_text("kaili-01")
        sound(admin)
        picture(admin, "empty")
        page.get_by_label("名称", exact=True).fill("酸汤鱼馆")
        page.get_by_label("类别", exact=True).select_option("restaurant")
        page.get_by_label("网格", exact=True).fill("kaili-1")
        expect(page.locator("#place-id")).to_have_value("restaurant-1")
        page.get_by_role("button", name="添加场所").click()
        page.wait_for_url("**/#/setup/restaurant-1")

        page.set_input_files("#device-scan", shot)
        expect(page.locator(".scan-said")).to_contain_text("gas-box-7")
        expect(page.get_by_label("设备编号")).to_have_value("gas-box-7")
        expect(page.get_by_label("设备类型")).to_have_value("ninewatch-gas")
        page.get_by_label("安装位置").fill("后厨")
        sound(admin)
        picture(admin, "device")
        page.get_by_role("button", name="添加设备").click()
        card = page.locator(".setup-card")
        expect(card).to_contain_text("只显示这一次")
        expect(card.locator(".qr")).to_be_visible()
        sound(admin)
        picture(admin, "credential")
        secret = card.locator("dd").nth(2).inner_text()
        gateway.site.secrets["gas-box-7"] = secret
        gateway.publish("gas-box-7", (0, {"gas_alarm": True}))
        assert gateway.until_alert(lambda one: "gas-box-7" in one["devices"])["severity"] == "critical"
        page.get_by_role("button", name="已记下").click()
        expect(card).to_have_count(0)

        # The same code again is refused at its field, and what was typed stays.
        page.set_input_files("#device-scan", shot)
        expect(page.get_by_label("设备编号")).to_have_value("gas-box-7")
        page.get_by_role("button", name="添加设备").click()
        expect(page.locator(".setup-fields .form-error")).to_contain_text("已有同编号的设备")
        expect(page.get_by_label("设备编号")).to_have_value("gas-box-7")

        page.get_by_role("button", name="打印标签: gas-box-7").click()
        expect(page.locator(".device-label")).to_contain_text("酸汤鱼馆")
        picture(admin, "label")
        # Somewhere else and back: it is all there.
        admin.go("#/setup")
        expect(page.locator(".setup-row")).to_contain_text("1 台设备")


def test_zigbee2mqtt_beside_it_is_found_and_taken_in_with_two_taps(browser, gateway, mosquitto):
    port, bridge = mosquitto
    gateway.ask("/places", {"id": "inn", "name": "Clear River Inn", "kind": "hotel", "grid": "kaili-1"})
    with browsing.people(browser, gateway, size=PHONE, lang="en") as come:
        admin = come()
        admin.go("#/setup")
        page = admin.page
        page.get_by_label("Address", exact=True).fill(f"mqtt://127.0.0.1:{port}")
        page.get_by_role("button", name="See what is there").click()
        expect(page.get_by_text("Zigbee2MQTT 2.6.0 is there. Devices: 1")).to_be_visible()
        page.get_by_role("button", name="Add a broker").click()
        taken = page.locator(".setup-take")
        expect(taken).to_have_count(1)
        sound(admin)
        picture(admin, "zigbee-en")
        page.get_by_label("Where in it 一楼 烟感 is").fill("first floor")
        page.get_by_role("button", name="Take in 一楼 烟感").click()
        expect(page.get_by_text("Registered: 0x00158d0000000002")).to_be_visible()
        until(lambda: gateway.ask("/brokers")["brokers"][0]["connected"], "the broker is not read from")
        bridge.publish("zigbee2mqtt/一楼 烟感", '{"smoke": true, "battery": 90}', qos=1).wait_for_publish(10)
        alert = gateway.until_alert(lambda one: "0x00158d0000000002" in one["devices"])
        assert (alert["severity"], alert["place"]) == ("critical", "inn")
        row = page.locator(".setup-row", has_text="zigbee").first
        row.get_by_role("button", name="Remove").click()
        row.get_by_role("button", name="Press again to remove").click()
        until(lambda: not gateway.ask("/brokers")["brokers"], "the broker stays")
