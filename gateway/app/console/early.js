// Before the first paint: the theme and language that were chosen here, so that nothing flashes.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("ninewatch.theme");
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    if (localStorage.getItem("ninewatch.lang") === "en") root.lang = "en";
  } catch {
    // Without storage the system's theme and Chinese stand.
  }
})();
