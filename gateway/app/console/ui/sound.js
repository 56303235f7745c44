// Alarms by ear, made of plain tones. What should sound stands in `<html data-sound>`:
// "off", "blocked" (the browser wants a click first), "quiet" or "critical".

import { setWantsSound, wantsSound } from "./prefs.js";

/** Per severity: (start s, frequency Hz, length s, loudness). Graver is longer, higher and more of it. */
const TONES = {
  critical: [
    [0, 880, 0.22, 0.5],
    [0.26, 660, 0.22, 0.5],
    [0.52, 880, 0.22, 0.5],
    [0.78, 660, 0.3, 0.5],
  ],
  major: [
    [0, 740, 0.16, 0.35],
    [0.24, 740, 0.16, 0.35],
    [0.48, 740, 0.2, 0.35],
  ],
  minor: [
    [0, 587, 0.14, 0.25],
    [0.2, 494, 0.18, 0.25],
  ],
  notice: [[0, 494, 0.16, 0.15]],
};
const LOOP_MS = 2_000;

let context = null;
let loop = null;
const listeners = new Set();

/** "off", "blocked" or "on". */
export function soundState() {
  if (!wantsSound()) return "off";
  return context?.state === "running" ? "on" : "blocked";
}

/** Calls `listener` when the sound's state changes. */
export function onSound(listener) {
  listeners.add(listener);
}

function tell() {
  const state = soundState();
  document.documentElement.dataset.sound = state === "on" ? (loop ? "critical" : "quiet") : state;
  for (const listener of listeners) listener();
}

/** Tries to open the sound; browsers allow it after a click or a key. */
export async function unlock() {
  if (!wantsSound()) return tell();
  try {
    context ??= new AudioContext();
    context.onstatechange = tell;
    await context.resume();
  } catch {
    // No audio on this machine: the page says that it is silent.
  }
  tell();
}

/** Turns the sound on or off, as the person wants. */
export async function switchSound(on) {
  setWantsSound(on);
  if (on) {
    await unlock();
    play("notice");
  } else {
    await context?.suspend();
    tell();
  }
}

/** Sounds once. */
export function play(severity) {
  if (soundState() !== "on") return;
  for (const [start, frequency, length, loudness] of TONES[severity] ?? []) {
    const at = context.currentTime + start;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.type = severity === "critical" ? "square" : "sine";
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(loudness * 0.5, at + 0.015);
    gain.gain.setValueAtTime(loudness * 0.5, at + length - 0.03);
    gain.gain.linearRampToValueAtTime(0, at + length);
    tone.connect(gain).connect(context.destination);
    tone.start(at);
    tone.stop(at + length);
  }
}

/** Sounds on and on while something critical waits. */
export function keepSounding(on) {
  if (on === Boolean(loop)) return;
  if (on) {
    loop = setInterval(() => play("critical"), LOOP_MS);
    play("critical");
  } else {
    clearInterval(loop);
    loop = null;
  }
  tell();
}
