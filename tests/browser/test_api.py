"""The API is as it is described, whatever is sent: by schemathesis, as every role."""

import community
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

# The same cases each time, from the edges of the description and by chance.
CONFIG = {
    "seed": 6,
    "generation": {"max-examples": 20, "deterministic": True, "database": "none", "with-security-parameters": False},
    "phases": {"coverage": {"unexpected-methods": ["PATCH"]}},
}
# As in the gateway's own tests: what any route may answer without saying so.
ANYWHERE = {408, 429, 503}
# It has no end, and is heard in test_life; what refuses it is tested in the gateway's own tests.
ENDLESS = "/api/v1/events"
# Nobody logs themselves out of the test; test_log_in does it.
SESSION = "/api/v1/session"
ROLES = ["admin", "duty", "grid_member", "installer", "integrator", "nobody"]


@pytest.fixture(scope="module")
def gateway():
    """A community of its own: here everything is done to it that can be."""
    running = community.open_community()
    accounts = {"admin": running.account}
    for role in ROLES[1:-1]:
        grids = ["kaili-1"] if role == "grid_member" else []
        accounts[role] = (f"a-{role}", running.site.add_account(f"a-{role}", role, *grids))
    running.people = {"nobody": requests.Session()}
    for role, (account, password) in accounts.items():
        # A session stays in, however many passwords are guessed; a change with it has to come from our own origin.
        person = running.people[role] = requests.Session()
        person.headers["Origin"] = running.console
        log_in = {"account": account, "password": password}
        assert person.post(f"{running.console}/api/v1/session", json=log_in, timeout=20).ok
    yield running
    running.stop()


def look(gateway, path):
    """What an admin gets."""
    answer = gateway.people["admin"].get(f"{gateway.console}/api/v1{path}", timeout=20)
    assert answer.ok, answer.text
    return answer.json()


@pytest.fixture(scope="module", params=ROLES)
def role(request):
    """Who asks."""
    return request.param


@pytest.fixture(scope="module")
def description(gateway, role):
    """What the gateway serves, with ids that are there: else all that is answered would be 404."""
    schema = look(gateway, "/openapi.json")
    alerts = [alert["id"] for alert in look(gateway, "/alerts?limit=500")["alerts"]]
    devices = [device["id"] for device in look(gateway, "/devices")["devices"]]
    walks = [walk["id"] for walk in look(gateway, "/walk-tests")["walk_tests"]]
    schema["components"]["parameters"]["AlertId"]["schema"]["enum"] = [*alerts, "01KAQW3E5S0000000000000000", "x"]
    for path, item in schema["paths"].items():
        for parameter in (one for operation in item.values() for one in operation.get("parameters", [])):
            if path.startswith("/api/v1/devices/{id}") and parameter.get("name") == "id":
                parameter["schema"]["enum"] = [*devices, "nobody"]
            elif path.startswith("/api/v1/walk-tests/{id}") and parameter.get("name") in ("id", "device"):
                parameter["schema"]["enum"] = [*(walks if parameter["name"] == "id" else devices), "nobody"]
            elif path.startswith("/api/v1/notify/") and parameter.get("name") == "name":
                parameter["schema"]["enum"] = ["street-office", "nobody"]
    schema["paths"] |= each_verb(schema)
    loaded = schemathesis.openapi.from_dict(schema, config=schemathesis.Config.from_dict(CONFIG))
    loaded.config.update(base_url=gateway.console)
    return loaded


def each_verb(schema):
    """A path for each thing that staff do, with what belongs to it: one for all would mostly be refused."""
    path = "/api/v1/alerts/{id}/{verb}"
    operation, action = schema["paths"][path]["post"], schema["components"]["schemas"]["Action"]
    wants = {"accept": [], "dispatch": ["to"], "handle": [], "close": ["verdict"]}
    found = {}
    for verb, required in wants.items():
        fields = {name: action["properties"][name] for name in ("id", "note", "upon", *required)}
        body = action | {"properties": fields, "required": required}
        found[path.replace("{verb}", verb)] = {"post": operation | {
            "operationId": f"{verb}Alert",
            "parameters": operation["parameters"][:1],
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        }}  # fmt: skip
    return found


def says_what_it_answers(_ctx, response, case):
    """The description has the status by its number, not as one of many."""
    described = case.operation.definition.raw["responses"]
    status = response.status_code
    if case.method.lower() != case.operation.method.lower():
        assert status in {401, 405} | ANYWHERE, f"{case.method} is answered {status}"
    else:
        assert str(status) in described or status in ANYWHERE, f"{status} is not in the description"
    if case.operation.path == SESSION and status == 200:
        assert "Set-Cookie" not in response.headers, "somebody got in"


schema = schemathesis.pytest.from_fixture("description").exclude(path=ENDLESS).exclude(method="DELETE", path=SESSION)
CHECKS = [not_a_server_error, says_what_it_answers, content_type_conformance, response_schema_conformance]


@schema.parametrize()
def test_every_answer_is_described(case, gateway, role):
    answer = case.call(session=gateway.people[role], timeout=20)
    case.validate_response(answer, checks=CHECKS)


def test_it_is_none_the_worse_for_it(gateway):
    assert gateway.process.poll() is None
    assert look(gateway, "/session")["account"] == gateway.account[0]
    assert "panicked" not in (gateway.site.folder / "log.txt").read_text()
