"""What the browser tests share."""

import browsing
import community
import pytest
from gateway import ROOT
from hypothesis.configuration import set_hypothesis_home_dir

# Nothing is left beside the tests.
set_hypothesis_home_dir(ROOT / "target/hypothesis")


def pytest_collection_modifyitems(items):
    """Without a browser there is nothing to test with, and that is said by name."""
    try:
        why = browsing.missing()
    except AssertionError as absent:
        raise pytest.UsageError(str(absent)) from None
    if why:
        for item in items:
            if "browser" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def browser():
    """One Chromium; each person has a context in it."""
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def lively():
    """A gateway on which all that pages can show has happened. Who uses it changes nothing."""
    gateway = community.open_community()
    yield gateway
    gateway.stop()
