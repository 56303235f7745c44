// The dictionary: both languages complete, every key that the pages use is there, and none is left over.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { TEXT, sentence } from "../model/text.js";
import * as words from "../model/words.js";

const root = new URL("../", import.meta.url);
const sources = readdirSync(root, { recursive: true })
  .filter((name) => name.endsWith(".js") && !name.startsWith("tests") && !name.startsWith("model/text"))
  .map((name) => ({ name, text: readFileSync(new URL(name, root), "utf8") }));

/** What stands behind `${…}` in a key, for each family of keys. */
const FAMILIES = {
  severity: words.SEVERITIES,
  status: words.STATUSES,
  scene: words.SCENES,
  verdict: [...words.VERDICTS, ...words.VERDICTS.map((verdict) => `${verdict}.hint`)],
  change: words.CHANGES,
  noted: words.VERBS,
  class: words.CLASSES,
  kind: words.PLACE_KINDS,
  person: words.PERSONS,
  role: words.ROLES,
  feed: ["live", "connecting", "stale"],
  tool: ["theme_system", "theme_dark", "theme_light"],
  act: [...words.VERBS, "dispatch_again"],
  report: ["shift_day", "shift_night", "shift_whole"],
  devices: ["all", "trouble", "silent", "battery", "clock"],
  title: words.TITLES,
  weekday: words.WEEKDAYS,
  contact: ["phone", "wecom", "dingtalk", "feishu", "email"],
  drill: ["place", "scene", "severity", "note"],
  walk: ["of_turn", "of_passed", "of_failed", "of_unreasoned", "of_waiting"],
  press: [...words.CLASSES, "other"],
  hours: ["hour", "quarter", "day"],
  past: ["hour", "quarter", "day", "week"],
  order: ["place", "heard", "charge", "skew"],
  notices: ["on", "off", "denied", "insecure", "unsupported"],
  deed: words.DEEDS,
  setup: ["needs_password", "wrong_password", "unreachable", "no_broker"],
  scan: ["device", "node", "lorawan", "zigbee", "matter", "imei", "mac", "eui", "serial", "other", "text"],
  told: ["sent", "digest", "given_up", "waiting"],
  channels: ["wecom", "dingtalk", "feishu", "webhook", "email", "mqtt_siren", "gpio_siren", "ok", "failing", "refused"],
  need: words.NEEDS,
  resident: ["place", "name", "phone", "contact_name", "contact_relation", "contact_phone", "note"],
  retention: words.RETENTION_KINDS,
  progress: words.STATUSES,
  form: ["fire", "police", "ambulance", ...words.SCENES.filter((scene) => scene !== "operations").map((scene) => `hint_${scene}`)],
  health: ["ok", "degraded", "down", "unknown", "part_ok", "part_degraded", "part_down"],
};
/** Families of which the pages ask first whether the dictionary knows the key: names that others choose. */
const OPEN = [
  "rule.",
  "field.",
  "problem.",
  "deed.",
  "health.engine",
  "health.audit",
  "health.sensor_port",
  "health.broker",
  "health.upstream",
  "health.models",
  "health.notify",
  "health.site_files",
  "health.decisions",
  "health.journal",
  "health.index",
  "health.disk",
  "health.clock",
  "health.console",
  "health.local_sign",
  "health.gateway",
  "health.backup",
  "health.load",
  "health.disk_room",
  "health.nodes",
  "health.line",
  "health.node",
  "health.walk_test",
  "health.walk_tests",
];

test("every sentence is there in both languages, with the same values in it", () => {
  for (const [key, pair] of Object.entries(TEXT)) {
    assert.equal(pair.length, 2, key);
    for (const text of pair) assert.ok(text.trim().length > 0, key);
    // The month is a number in one and a name in the other.
    if (key === "time.date") continue;
    const [zh, en] = pair.map((text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort());
    assert.deepEqual(zh, en, key);
  }
});

test("every key that the pages use is in the dictionary, and every key of it is used", () => {
  const used = new Set(["time.second", "time.minute", "time.hour", "time.day", "time.date"]);
  for (const { name, text } of sources) {
    for (const [, key] of text.matchAll(/"([a-z]+\.[a-z_.]+)"/g)) used.add(key);
    for (const [, key] of text.matchAll(/\bt\(\s*"([^"]+)"/g)) assert.ok(TEXT[key], `${name} uses ${key}`);
    for (const [, family] of text.matchAll(/\bt\([^()]*`([a-z]+)\.[^`]*\$\{/g)) {
      assert.ok(
        FAMILIES[family] || OPEN.includes(`${family}.`),
        `${name} uses the family ${family}, unknown to this test`,
      );
    }
  }
  for (const [family, members] of Object.entries(FAMILIES)) {
    for (const key of members.map((member) => `${family}.${member}`)) {
      assert.ok(TEXT[key], `${key} is missing`);
      used.add(key);
    }
  }
  for (const key of Object.keys(TEXT)) {
    assert.ok(used.has(key) || OPEN.some((start) => key.startsWith(start)), `nobody uses ${key}`);
  }
});

test("the words are those of the API", () => {
  const api = JSON.parse(readFileSync(new URL("../src/console/openapi.json", root), "utf8")).components.schemas;
  const same = (mine, theirs) => assert.deepEqual([...mine].sort(), theirs.filter(Boolean).sort());
  same(words.SEVERITIES, api.Severity.enum);
  same(words.STATUSES, api.Status.enum);
  same(words.SCENES, api.Scene.enum);
  same(words.VERDICTS, api.Verdict.enum);
  same(words.CHANGES, api.ChangeKind.enum);
  same(words.VERBS, api.TakenAction.properties.verb.enum);
  same(words.CLASSES, api.Device.properties.class.enum);
  same(words.ROLES, api.Session.properties.role.enum);
  same(words.TITLES, api.Title.enum);
  same(words.WEEKDAYS, api.Weekday.enum);
  same(words.PERSONS, api.Device.properties.person.enum);
  same(words.NEEDS, api.Resident.properties.needs.items.enum);
  same(words.RETENTION_KINDS, api.RetentionRule.properties.kind.enum);
  same(words.PLACE_KINDS, api.Place.properties.kind.enum);
});

test("values are put in, and a key that is not there shows", () => {
  assert.equal(sentence("zh", "alert.number", { number: 7 }), "7 号");
  assert.equal(sentence("en", "alert.number", { number: 7 }), "No. 7");
  assert.equal(sentence("en", "no.such_key"), "no.such_key");
  assert.equal(sentence("en", "alert.number"), "No. {number}");
});

test("data never becomes markup, and nothing is fetched from elsewhere", () => {
  for (const { name, text } of sources) {
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
    for (const [url] of text.matchAll(/https?:\/\/[^\s)"`]+/g)) {
      assert.match(url, /^http:\/\/www\.w3\.org\/2000\/svg|^https:\/\/html\.spec\.whatwg\.org\//, `${name}: ${url}`);
    }
  }
});

test("no key stands twice: the later one would silence the other", () => {
  const keys = ["text.js", "text-people.js", "text-walk.js", "text-setup.js"].flatMap((name) =>
    [...readFileSync(new URL(`model/${name}`, root), "utf8").matchAll(/^ {2}"([^"]+)":/gm)].map(([, key]) => key),
  );
  assert.deepEqual([...new Set(keys)].sort(), Object.keys(TEXT).sort());
  assert.deepEqual(
    keys.filter((key, at) => keys.indexOf(key) !== at),
    [],
  );
});

test("the audit log can be asked for every deed upon persons and alerts", () => {
  const table = readFileSync(new URL("../src/console/rights.rs", root), "utf8");
  const groups = new Set([...table.matchAll(/"([a-z_]+)\.[a-z_]+"/g)].map(([, group]) => group));
  // About the gateway itself: nobody looks for these.
  for (const own of ["ca", "channels", "commands", "health", "metrics", "models", "openapi", "rules"]) groups.delete(own);
  // Made at the box, by `ninewatch account`.
  groups.add("account");
  assert.deepEqual([...words.DEEDS].sort(), [...groups].sort());
});

test("every refusal of the gateway has a sentence", () => {
  const folder = new URL("../src/console/", root);
  const rust = readdirSync(folder)
    .filter((name) => name.endsWith(".rs"))
    .map((name) => readFileSync(new URL(name, folder), "utf8"))
    .join("\n");
  const made = /\b(?:Problem|Self)::(?:not_found|conflict|unavailable|unusable|shed)\(\s*"([a-z_]+)"/g;
  const codes = new Set([...rust.matchAll(made)].map(([, code]) => code));
  for (const [, code] of rust.matchAll(/\bSelf::new\(\s*StatusCode::[A-Z_]+,\s*"([a-z_]+)"/g)) codes.add(code);
  // No page asks for what leads there.
  for (const never of ["only_https", "no_route", "wrong_method", "no_ca", "no_address"]) codes.delete(never);
  assert.ok(codes.size > 30, `only ${codes.size} codes were found`);
  assert.deepEqual(
    [...codes].filter((code) => !TEXT[`problem.${code}`]),
    [],
  );
});
