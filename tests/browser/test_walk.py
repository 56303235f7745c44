"""An installer walks from device to device with a phone; the duty room accepts; in the end there is a certificate."""

import json
import os

import browsing
import pytest
from gateway import Gateway, Site, until
from playwright.sync_api import expect

PHONE = (360, 740)


@pytest.fixture
def gateway():
    """A canteen with a detector, and a button that is dead."""
    site = Site()
    site.add_places([("school", "希望小学", "school", "kaili-1", "文化北路 10 号")])
    site.add_devices([
        ("school-smoke", "ninewatch-smoke", "school", "食堂", ""),
        ("school-sos", "ninewatch-sos", "school", "门卫室", ""),
    ])  # fmt: skip
    running = Gateway(site)
    running.fitter = ("fang", site.add_account("fang", "installer"))
    running.officer = ("li", site.add_account("li", "duty"))
    yield running
    running.stop()


def picture(person, name):
    """Where pictures are wanted, what somebody sees."""
    if folder := os.environ.get("WALK_PICTURES"):
        person.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_two_devices_are_walked_one_fails_with_its_reason_and_the_gateway_signs(browser, gateway):
    with browsing.people(browser, gateway) as come:
        fang = come(gateway.fitter, size=PHONE)
        li = come(gateway.officer)
        li.html("feed", "live")
        fang.go("#/walk")
        fang.page.get_by_label("希望小学").check()
        picture(fang, "begin")
        fang.page.get_by_role("button", name="开始走查").click()

        # The detector: its button is pressed, the duty room accepts, it is quiet again.
        card = fang.page.locator(".walk-card")
        expect(card).to_contain_text("请按住烟感的测试键")
        card.get_by_role("button", name="开始测试这台").click()
        expect(card).to_contain_text("等待信号")
        picture(fang, "waits")
        gateway.publish("school-smoke", (0, {"smoke_alarm": True, "battery_percent": 93}))
        expect(card).to_contain_text("号预警（紧急）已写入磁盘")
        expect(card).to_contain_text("电量 93%")
        picture(fang, "came")
        expect(li.card("希望小学")).to_contain_text("巡检测试")
        li.html("sound", "critical")
        li.card("希望小学").get_by_role("button").first.click()
        expect(fang.page.locator(".walk-desk").first).to_contain_text("li 在")
        gateway.publish("school-smoke", (0, {"smoke_alarm": False}))
        card.get_by_role("button", name="通过，下一台").click()
        expect(li.card("希望小学")).to_have_count(0)
        alert = gateway.ask("/alerts?verdict=test")["alerts"][0]
        assert alert["walk_test"] and alert["status"] == "closed" and alert["accepted_by"] == "li"

        # The button: nothing comes of it.
        expect(card).to_contain_text("请按下求助按钮")
        card.get_by_role("button", name="开始测试这台").click()
        card.get_by_role("button", name="没有收到").click()
        expect(card).to_contain_text("没有收到信号")
        fang.page.get_by_role("button", name="完成并签发证书").click()
        expect(fang.page.locator(".walk-ending")).to_contain_text("还差 1 项")
        card.get_by_label("未通过或无法测试的原因").fill("电池没电，明天更换")
        picture(fang, "fails")
        card.get_by_role("button", name="按此原因记为未通过").click()
        expect(fang.page.locator(".walk-progress")).to_have_text("已完成 2/2")
        fang.page.get_by_role("button", name="完成并签发证书").click()

        paper = fang.page.locator(".paper")
        expect(paper).to_contain_text("有保留移交")
        expect(paper).to_contain_text("电池没电，明天更换")
        expect(fang.page.locator(".walk-trust")).to_contain_text("签名有效")
        fang.page.wait_for_function("() => document.querySelector('.paper-code').naturalWidth > 0")
        fang.settle()
        picture(fang, "certificate")
        fang.page.emulate_media(media="print")
        fang.page.set_viewport_size({"width": 794, "height": 1123})
        picture(fang, "paper")

        # Whoever scans the code on paper sees whether it is this one.
        test = gateway.ask("/walk-tests")["walk_tests"][0]
        li.go(f"#/walk/{test['id']}?sha256={'0' * 64}")
        expect(li.page.locator(".walk-trust")).to_contain_text("不同")

        # And what somebody writes into the file does not hold.
        file = gateway.site.data / "walk-tests" / f"{test['id']}.json"
        kept = json.loads(file.read_text())
        kept["certificate"]["document"] = kept["certificate"]["document"].replace("明天更换", "已更换")
        file.write_text(json.dumps(kept, ensure_ascii=False))
        li.go("#/walk")
        li.go(f"#/walk/{test['id']}")
        expect(li.page.locator(".walk-trust")).to_contain_text("签名无效")


def test_what_goes_on_alarming_is_real_after_a_restart_too(gateway):
    test = gateway.ask("/walk-tests", {"places": ["school"]})
    turn = f"/walk-tests/{test['id']}/devices/school-smoke"
    gateway.ask(turn, {"step": "begin"})
    gateway.publish("school-smoke", (0, {"smoke_alarm": True}))
    marked = gateway.until_alert(lambda alert: "smoke-alarm" in alert["rules"])
    assert marked["walk_test"] == test["id"] and marked["severity"] == "critical"
    # A power cut in the middle of the turn: it is the same turn, with the same alert in it.
    gateway.kill()
    gateway.start()
    again = gateway.ask(f"/walk-tests/{test['id']}")["devices"][0]
    assert again["measured"]["alert"]["id"] == marked["id"] and again["passed"] is None
    gateway.ask(turn, {"step": "end"})
    # It still alarms, so nobody has closed it; what is pressed now is no test.
    gateway.publish("school-sos", (0, {"sos": True}))
    real = gateway.until_alert(lambda alert: "sos" in alert["rules"])
    assert "walk_test" not in real
    assert until(lambda: gateway.ask(f"/alerts/{marked['id']}")["alert"], "")["status"] == "raised"
    refused = pytest.raises(AssertionError, gateway.ask, turn, {"step": "begin"})
    assert "still_alarms" in str(refused.value)


