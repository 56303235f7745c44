"""Who gets in, who is out, and what each role sees."""

import browsing
import community
import pytest
from gateway import Gateway, Site
from playwright.sync_api import expect


@pytest.fixture
def gateway():
    """A gateway with two grids and an account of each role."""
    site = Site()
    site.add_places(community.PLACES)
    site.add_devices(community.DEVICES)
    running = Gateway(site)
    roles = {"officer": ["duty"], "member": ["grid_member", "kaili-1"]}
    roles |= {role: [role] for role in ("installer", "integrator")}
    running.people = {name: (name, site.add_account(name, *role)) for name, role in roles.items()}
    yield running
    running.stop()


@pytest.fixture
def stranger(browser, gateway):
    """Somebody at the log-in."""
    person = browsing.Person(browser, gateway)
    person.go("")
    yield person
    person.leave()


def try_password(person, account, password):
    """Fills the form in and sends it."""
    person.page.fill("#account", account)
    person.page.fill("#password", password)
    person.page.click("form button[type=submit]")


def test_a_wrong_password_is_told_in_words_and_the_right_one_gets_in(gateway, stranger):
    try_password(stranger, "officer", "not-the-password")
    expect(stranger.page.locator(".form-error")).to_have_text("账号或密码不对。")
    expect(stranger.page.locator("#password")).to_be_focused()
    try_password(stranger, *gateway.people["officer"])
    expect(stranger.page.locator(".board")).to_be_visible()


def test_guessing_is_held_up_and_who_is_in_stays_in(browser, gateway, stranger):
    with browsing.people(browser, gateway) as come:
        inside = come(gateway.people["officer"])
        for _ in range(30):
            try_password(stranger, "officer", "a-guess")
            stranger.page.wait_for_selector("form button[type=submit]:not([disabled])")
            if "尝试次数过多" in stranger.page.inner_text(".form-error"):
                break
        expect(stranger.page.locator(".form-error")).to_have_text("尝试次数过多，请稍候再试。")
        # Even the right one has to wait now.
        try_password(stranger, *gateway.people["officer"])
        expect(stranger.page.locator(".form-error")).to_have_text("尝试次数过多，请稍候再试。")
        inside.go("#/history")
        expect(inside.page.locator(".history")).to_be_visible()


def test_who_logs_out_is_out_and_so_is_who_is_removed(browser, gateway):
    with browsing.people(browser, gateway) as come:
        person = come(gateway.people["officer"])
        person.page.click(".chip.menu")
        person.page.get_by_role("button", name="退出登录").click()
        expect(person.page.get_by_role("heading", name="登录值守台")).to_be_visible()
        person.go("#/history")
        expect(person.page.locator("#password")).to_be_visible()
        assert person.page.locator(".history").count() == 0

        person.log_in(gateway.people["officer"])
        gateway.site.command("account", "remove", "officer")
        # The feed ends with its next sign of life; nobody has to touch anything.
        expect(person.page.locator(".login .form-error").first).to_contain_text("登录已失效", timeout=40_000)


def test_the_language_is_switched_and_remembered(browser, gateway):
    with browsing.people(browser, gateway) as come:
        person = come(gateway.people["officer"])
        expect(person.page.locator("html")).to_have_attribute("lang", "zh-CN")
        person.page.click(".chip.menu")
        person.page.get_by_role("button", name="English").click()
        expect(person.page.get_by_role("link", name="History")).to_be_visible()
        person.page.reload()
        expect(person.page.get_by_role("link", name="Shift report")).to_be_visible()
        expect(person.page.locator("html")).to_have_attribute("lang", "en")


def links(person):
    """Where the navigation leads."""
    person.settle()
    return person.page.locator(".nav-link").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")


def test_each_role_is_offered_what_it_may(browser, gateway):
    gateway.publish("school-smoke", (0, {"smoke_alarm": True}))
    gateway.publish("workshop-smoke", (0, {"smoke_alarm": True}))
    school = gateway.until_alert(lambda one: one["place"] == "school")["id"]
    workshop = gateway.until_alert(lambda one: one["place"] == "workshop")["id"]
    with browsing.people(browser, gateway) as come:
        officer = come(gateway.people["officer"])
        expect(officer.page.locator(".card")).to_have_count(2)

        member = come(gateway.people["member"])
        expect(member.card("希望小学")).to_have_count(1)
        expect(member.page.locator(".card")).to_have_count(1)
        member.go(f"#/alerts/{workshop}")
        expect(member.page.locator(".alert-failed")).to_have_text("没有这条预警。 ")
        member.go(f"#/alerts/{school}")
        member.page.locator(".alert-act").get_by_role("button", name="接警").click()
        expect(member.page.locator(".alert-act").get_by_role("button", name="派单", exact=True)).to_be_visible()
        # Who was sent does not judge.
        expect(member.page.locator(".alert-act")).not_to_contain_text("办结")
        expect(officer.card("希望小学")).to_contain_text("member 负责")

        for role in ("installer", "integrator"):
            fitter = come(gateway.people[role])
            expect(fitter.page.get_by_role("heading", name="设备")).to_be_visible()
            assert not {"#/", "#/history", "#/report"} & set(links(fitter))
            fitter.go(f"#/alerts/{school}")
            expect(fitter.page.locator(".alert-failed")).to_contain_text("角色不能这样做")
            assert "烟雾报警" not in fitter.page.inner_text("body")
