// The console: who is in, and which page is shown.

import { alertPage } from "./pages/alert.js";
import { boardPage } from "./pages/board.js";
import { channelsPage } from "./pages/channels.js";
import { devicesPage } from "./pages/devices.js";
import { historyPage } from "./pages/history.js";
import { logInPage } from "./pages/log-in.js";
import { reportPage } from "./pages/report.js";
import { ask } from "./ui/api.js";
import { h, replace } from "./ui/dom.js";
import { end, start } from "./ui/live.js";
import { mayDo, problem, setClock, setRights, t } from "./ui/say.js";
import { navigated, shell, shellSession, startShell } from "./ui/shell.js";
import { placeName, refreshSite } from "./ui/site.js";
import { unlock } from "./ui/sound.js";

const root = document.body;
let session = null;
let main = null;
let leave = () => {};

/** The page of the address: "#/", "#/alerts/ID", "#/devices", "#/history", "#/report", "#/notify". */
function route() {
  if (!main) return;
  leave();
  const [, page = "", id = ""] = (location.hash || "#/").split("/");
  if (page === "" && !mayDo("GET", "/alerts")) leave = devicesPage(main);
  else if (page === "") leave = boardPage(main);
  else if (page === "alerts" && id) leave = alertPage(main, decodeURIComponent(id));
  else if (page === "devices") leave = devicesPage(main);
  else if (page === "history") leave = historyPage(main);
  else if (page === "report") leave = reportPage(main);
  else if (page === "notify") leave = channelsPage(main);
  else {
    leave = () => {};
    replace(main, h("h1", { class: "loading" }, t("app.not_found")));
  }
  navigated();
}

function draw() {
  leave();
  leave = () => {};
  main = shell(root, { session, redraw: draw, signedOut });
  route();
}

function entered(who) {
  session = who;
  setClock(who);
  setRights(who.may);
  shellSession(who);
  draw();
  refreshSite().catch(() => {});
  if (mayDo("GET", "/events")) start(() => signedOut(true));
}

function signedOut(expired = false) {
  end();
  leave();
  leave = () => {};
  session = null;
  main = null;
  shellSession(null);
  logInPage(root, { expired: expired === true, entered, redraw: () => signedOut(expired) });
}

async function begin() {
  try {
    entered(await ask("/session"));
  } catch (error) {
    if (error.status === 401) return signedOut();
    // The gateway is not there yet: it will be.
    replace(root, h("main", { class: "login" }, h("p", { class: "form-error", role: "alert" }, problem(error))));
    setTimeout(begin, 3000);
  }
}

startShell(placeName);
addEventListener("hashchange", () => {
  route();
  scrollTo(0, 0);
  main?.focus({ preventScroll: true });
});
for (const event of ["pointerdown", "keydown"]) addEventListener(event, unlock, { once: true });
begin();
