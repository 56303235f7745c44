// A wall screen: large letters, nothing to press, and a screen that stays on.

/** Begins it; gives the way to end it. */
export function wallScreen() {
  document.documentElement.dataset.wall = "";
  let lock = null;
  let left = false;
  const keepOn = async () => {
    if (document.visibilityState !== "visible") return;
    // Only where the page came by HTTPS, and where the system lets it: else its own settings decide.
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
    if (left) lock?.release();
  };
  const end = (event) => {
    if (event.key === "Escape") location.hash = "#/";
  };
  document.addEventListener("visibilitychange", keepOn);
  addEventListener("keydown", end);
  keepOn();
  return () => {
    left = true;
    delete document.documentElement.dataset.wall;
    document.removeEventListener("visibilitychange", keepOn);
    removeEventListener("keydown", end);
    lock?.release();
  };
}
