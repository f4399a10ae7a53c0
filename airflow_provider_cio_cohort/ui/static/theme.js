"use strict";
// The page is in a frame of Airflow, whose root element has a class for the light or dark mode.
// This runs before the first paint to avoid a flash.
(() => {
  const airflow = () => {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null; // framed by another site, whose document cannot be read
    }
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    const root = airflow();
    for (const mode of ["dark", "light"]) {
      if (root?.classList.contains(mode) || root?.dataset.theme === mode) return mode;
    }
    try {
      const kept = window.localStorage.getItem("theme"); // Airflow's setting, for a page without the frame
      if (kept === "dark" || kept === "light") return kept;
    } catch {
      // no storage: use the system's setting
    }
    return dark.matches ? "dark" : "light";
  }

  const follow = () => (document.documentElement.dataset.theme = chosen());
  follow();
  dark.addEventListener("change", follow);
  window.addEventListener("storage", follow);
  const root = airflow();
  if (root) new MutationObserver(follow).observe(root, { attributeFilter: ["class", "data-theme"] });
})();
