// What this browser remembers: language, theme, sound, who was sent lately.

function read(name, fallback) {
  try {
    return localStorage.getItem(`ninewatch.${name}`) ?? fallback;
  } catch {
    return fallback;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(`ninewatch.${name}`, value);
  } catch {
    // Without storage it holds until the page is closed.
  }
}

const chosen = { lang: read("lang", "zh"), theme: read("theme", "system"), sound: read("sound", "on"), keys: read("keys", "on") };

export function lang() {
  return chosen.lang === "en" ? "en" : "zh";
}

export function setLang(value) {
  chosen.lang = value;
  write("lang", value);
  document.documentElement.lang = value === "en" ? "en" : "zh-CN";
}

export function theme() {
  return chosen.theme;
}

export function setTheme(value) {
  chosen.theme = value;
  write("theme", value);
  if (value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}

export function wantsSound() {
  return chosen.sound === "on";
}

export function setWantsSound(value) {
  chosen.sound = value ? "on" : "off";
  write("sound", chosen.sound);
}

/** Whether single keys act. */
export function wantsKeys() {
  return chosen.keys === "on";
}

export function setWantsKeys(value) {
  chosen.keys = value ? "on" : "off";
  write("keys", chosen.keys);
}

export function sentLately() {
  try {
    const list = JSON.parse(read("sent", "[]"));
    return Array.isArray(list) ? list.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

export function setSentLately(list) {
  write("sent", JSON.stringify(list));
}
