"use strict";
// The page lives in a frame of Airflow's, which says by a class of its root whether it is light or dark.
// Before the first paint, so that nothing flashes.
(() => {
  const airflow = () => {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null; // framed by another site: nothing of it can be read
    }
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    const root = airflow();
    for (const mode of ["dark", "light"]) {
      if (root?.classList.contains(mode) || root?.dataset.theme === mode) return mode;
    }
    try {
      const kept = window.localStorage.getItem("theme"); // where Airflow keeps it; the page may be open by itself
      if (kept === "dark" || kept === "light") return kept;
    } catch {
      // no storage: as the system has it
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
