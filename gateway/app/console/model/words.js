// The words of the API, in the order in which people list them.

export const SEVERITIES = ["critical", "major", "minor", "notice"];
export const STATUSES = ["raised", "accepted", "dispatched", "handled", "closed"];
export const SCENES = ["fire", "security", "elder_care", "child_protection", "employment", "operations"];
export const VERDICTS = ["true_alarm", "false_alarm", "nuisance", "test"];
export const CHANGES = [
  "raised",
  "joined",
  "repeated",
  "recovered",
  "escalated",
  "accepted",
  "dispatched",
  "handled",
  "closed",
  "noted",
  "undone",
  "annotated",
];
export const VERBS = ["accept", "dispatch", "handle", "close", "undo", "note"];
export const CLASSES = ["face_camera", "bracelet", "smoke", "gas", "electrical", "door", "presence", "sos", "water"];
export const PLACE_KINDS = [
  "school",
  "clinic",
  "shop",
  "restaurant",
  "hotel",
  "entertainment",
  "internet_cafe",
  "beauty_bath",
  "workshop",
  "home",
  "key_site",
];
export const PERSONS = ["elder", "elder_alone", "disabled", "child", "patient", "other"];
/** As what somebody is on duty. */
export const TITLES = ["grid_member", "duty_officer", "guard", "fire_team", "medic", "leader"];
export const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/** What help a resident needs. */
export const NEEDS = ["bedridden", "walking", "hearing", "sight", "speech", "memory", "oxygen"];
/** What of persons is deleted when its time is over. */
export const RETENTION_KINDS = ["photos", "matters", "residents"];
/** What an account is for. */
export const ROLES = ["duty", "grid_member", "installer", "integrator", "admin"];
/** The first parts of deeds' names in the audit log, for choosing. */
export const DEEDS = [
  "alert",
  "alerts",
  "matter",
  "photo",
  "resident",
  "residents",
  "readings",
  "report",
  "devices",
  "device",
  "node",
  "places",
  "plan",
  "plans",
  "roster",
  "drill",
  "update",
  "walk_test",
  "walk_tests",
  "support",
  "place",
  "setup",
  "broker",
  "grid_code",
  "grid_codes",
  "handover",
  "handovers",
  "retention",
  "channel",
  "session",
  "account",
  "audit",
  "log",
];
