// Server-Sent Events out of a stream of text (https://html.spec.whatwg.org/#event-stream-interpretation).

/** Collects text; gives the events that are complete: {event, id, data}. Comments give nothing. */
export class EventParser {
  #rest = "";

  push(text) {
    this.#rest += text;
    const blocks = this.#rest.split(/\r\n\r\n|\n\n|\r\r/);
    this.#rest = blocks.pop();
    return blocks.map(parse).filter((event) => event !== null);
  }
}

function parse(block) {
  const event = { event: "message", id: null, data: [] };
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(":");
    if (colon === 0 || line === "") continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") event.event = value;
    else if (name === "id") event.id = value;
    else if (name === "data") event.data.push(value);
  }
  return event.data.length === 0 ? null : { ...event, data: event.data.join("\n") };
}

/** How long to wait before the next attempt, in ms: 0.5 s, doubling up to 15 s, with up to a quarter of chance. */
export function backoff(attempt, random = Math.random) {
  const base = Math.min(15_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(base * (1 + random() / 4));
}
