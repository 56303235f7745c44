// The console: who is in, and which page is shown.

import { alertPage } from "./pages/alert.js";
import { auditPage } from "./pages/audit.js";
import { boardPage } from "./pages/board.js";
import { channelsPage } from "./pages/channels.js";
import { devicePage } from "./pages/device.js";
import { devicesPage } from "./pages/devices.js";
import { gridsPage } from "./pages/grids.js";
import { historyPage } from "./pages/history.js";
import { logInPage } from "./pages/log-in.js";
import { placesPage } from "./pages/places.js";
import { peoplePage } from "./pages/people.js";
import { reportPage } from "./pages/report.js";
import { rosterPage } from "./pages/roster.js";
import { setupPage } from "./pages/setup.js";
import { walkPage } from "./pages/walk.js";
import { ask } from "./ui/api.js";
import { h, replace } from "./ui/dom.js";
import { startKeys } from "./ui/keys.js";
import { end, start } from "./ui/live.js";
import { mayDo, problem, setAccount, setClock, setRights, t } from "./ui/say.js";
import { navigated, shell, shellSession, startShell } from "./ui/shell.js";
import { placeName, places, refreshSite } from "./ui/site.js";
import { unlock } from "./ui/sound.js";

const root = document.body;
let session = null;
let main = null;
let leave = () => {};

/** The page of the address: "#/" or "#/board?wall=1", "#/alerts/ID", "#/devices/ID", and those below by their names. */
function route() {
  if (!main) return;
  leave();
  const [path, query = ""] = (location.hash || "#/").split("?");
  const [, page = "", id = ""] = path.split("/");
  const isBoard = page === "" || page === "board";
  if (isBoard && !mayDo("GET", "/alerts")) leave = devicesPage(main);
  else if (isBoard) leave = boardPage(main, { wall: new URLSearchParams(query).has("wall") });
  else if (page === "alerts" && id) leave = alertPage(main, decodeURIComponent(id));
  else if (page === "places") leave = placesPage(main);
  else if (page === "devices" && id) leave = devicePage(main, decodeURIComponent(id));
  else if (page === "devices") leave = devicesPage(main);
  else if (page === "history") leave = historyPage(main);
  else if (page === "report") leave = reportPage(main);
  else if (page === "audit") leave = auditPage(main);
  else if (page === "grids") leave = gridsPage(main, decodeURIComponent(id));
  else if (page === "people") leave = peoplePage(main);
  else if (page === "notify") leave = channelsPage(main);
  else if (page === "roster") leave = rosterPage(main);
  else if (page === "setup") leave = setupPage(main, decodeURIComponent(id));
  else if (page === "walk") leave = walkPage(main, decodeURIComponent(id), new URLSearchParams(query));
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
  setAccount(who.account);
  setRights(who.may);
  shellSession(who);
  draw();
  refreshSite().then(leadToSetup, () => {});
  if (mayDo("GET", "/events")) start(() => signedOut(true));
}

/** Who may set up and finds nothing set up is led there; whoever goes elsewhere is let. */
function leadToSetup() {
  const atHome = ["", "#/"].includes(location.hash);
  if (session && atHome && places().length === 0 && mayDo("POST", "/places")) location.hash = "#/setup";
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
startKeys(() => session !== null);
addEventListener("hashchange", () => {
  route();
  scrollTo(0, 0);
  main?.focus({ preventScroll: true });
});
for (const event of ["pointerdown", "keydown"]) addEventListener(event, unlock, { once: true });
begin();
