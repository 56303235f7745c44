// Times, spans and numbers as people read them. Local time is the gateway's, not the browser's.

import { sentence } from "./text.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Minutes of an offset such as "+08:00"; 0 where it is not one. */
export function offsetMinutes(text) {
  const parts = /^([+-])(\d\d):(\d\d)$/.exec(text ?? "");
  if (!parts) return 0;
  const minutes = Number(parts[2]) * 60 + Number(parts[3]);
  return parts[1] === "-" ? -minutes : minutes;
}

function local(ms, offset) {
  return new Date(ms + offset * 60_000);
}

const two = (n) => String(n).padStart(2, "0");

/** "07:31:20", or "07:31". */
export function timeOfDay(ms, offset, seconds = true) {
  const at = local(ms, offset);
  const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  return seconds ? `${time}:${two(at.getUTCSeconds())}` : time;
}

/** The time of day, with the date where it is not today's. */
export function moment(lang, ms, now, offset, seconds = false) {
  const time = timeOfDay(ms, offset, seconds);
  const at = local(ms, offset);
  const sameDay = at.toISOString().slice(0, 10) === local(now, offset).toISOString().slice(0, 10);
  if (sameDay) return time;
  const [month, day] = [at.getUTCMonth() + 1, at.getUTCDate()];
  return sentence(lang, "time.date", { month, day, monthName: MONTHS[month - 1], time });
}

/** A ticking age: "0:42", "12:05", "3:07:45". */
export function ticking(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** A span in a unit that says enough: "94 秒", "3 min", "2 天". */
export function span(lang, ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return sentence(lang, "time.second", { n: seconds });
  if (seconds < 7200) return sentence(lang, "time.minute", { n: Math.floor(seconds / 60) });
  if (seconds < 172_800) return sentence(lang, "time.hour", { n: Math.floor(seconds / 3600) });
  return sentence(lang, "time.day", { n: Math.floor(seconds / 86_400) });
}

/** A measured number with as many digits as it deserves: 158, 36.7, 0.312. */
export function number(value) {
  if (!Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}

/** A number with its unit. */
export function quantity(value, unit) {
  return unit ? `${number(value)} ${unit}` : number(value);
}

/** A telephone number as a link that dials it. */
export function dialled(phone) {
  return `tel:${phone.replace(/[^0-9+]/g, "")}`;
}
