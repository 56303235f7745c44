// Requests to the gateway. What it refuses becomes an error with the problem's code and detail.

/** A refused request. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.detail = problem.detail ?? `HTTP ${status}`;
    this.mend = problem.mend ?? "";
    /** Of what was sent, the field that is not right. */
    this.field = problem.field ?? null;
  }
}

const HEADERS = { "X-Requested-With": "ninewatch" };
/** The gateway answers within 20 s, or not at all. */
const PATIENCE_MS = 25_000;

/** Asks; gives the open response, or throws. */
export async function request(path, { method = "GET", body, signal, headers } = {}) {
  // A picture goes as it is.
  const isFile = body instanceof Blob;
  const sent = body === undefined ? {} : { "Content-Type": isFile ? body.type : "application/json" };
  const response = await fetch(`/api/v1${path}`, {
    method,
    signal: signal ?? AbortSignal.timeout(PATIENCE_MS),
    headers: { ...HEADERS, ...sent, ...headers },
    body: body === undefined || isFile ? body : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem);
}

/** Asks; gives the JSON of the answer, `null` where it has none. */
export async function ask(path, options) {
  const response = await request(path, options);
  return response.status === 204 ? null : response.json();
}

/** How the gateway is. That it is down is an answer too. */
export async function health() {
  const response = await fetch("/api/v1/health", {
    headers: HEADERS,
    signal: AbortSignal.timeout(PATIENCE_MS),
    cache: "no-store",
  });
  return response.json();
}

/** A fresh id for an action: sent again after a cut it still counts once. */
export function actionId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
