"use strict";
(() => {
  const parent = (() => {
    try {
      return window.parent !== window && window.parent.document ? window.parent : null;
    } catch {
      return null;
    }
  })();

  // ---- Links that leave the page

  // Airflow's frame is sandboxed, so its links cannot navigate the whole window. A link in Airflow's own
  // document can, and the page has the same origin: so the click is passed to a link there.
  function leave(event) {
    const link = event.target.closest?.("a.leave");
    if (!link || !parent || event.defaultPrevented || event.button > 1) return;
    event.preventDefault();
    const there = parent.document.createElement("a");
    there.href = link.href;
    const another = event.ctrlKey || event.metaKey || event.shiftKey || event.button === 1;
    if (another || link.target === "_blank") there.target = "_blank";
    there.rel = "noopener noreferrer";
    parent.document.body.append(there);
    there.click();
    there.remove();
  }
  document.addEventListener("click", leave);
  document.addEventListener("auxclick", leave);

  // ---- Times that belong to no sync, in the timezone that the user has chosen in Airflow

  function zone() {
    try {
      const kept = window.localStorage.getItem("timezone");
      const name = kept?.startsWith('"') ? JSON.parse(kept) : kept;
      if (name) return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
    } catch {
      // no timezone was chosen, or this browser does not support it
    }
    return undefined;
  }

  const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  // Swedish writes 2026-01-31 14:05, as Airflow does.
  const format = new Intl.DateTimeFormat("sv", { ...parts, timeZone: zone() });
  for (const element of document.querySelectorAll("time[data-local]")) {
    const text = `${format.format(new Date(element.dateTime))} ${format.resolvedOptions().timeZone}`;
    if (element.dataset.local === "title") element.title = text;
    else element.textContent = text;
  }

  // ---- Search and filter

  const search = document.getElementById("search");
  const only = document.getElementById("only");
  if (!search) return;
  const rows = [...document.querySelectorAll("#rows > tr")];
  const count = document.getElementById("count");

  function narrow() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.text.includes(word));
      row.hidden = !fits || (only.checked && !("wanting" in row.dataset));
      shown += !row.hidden;
    }
    const all = Number(count.dataset.all);
    const noun = all === 1 ? "sync" : "syncs";
    count.textContent = shown === all ? `${all} ${noun}` : `${shown} of ${all} ${noun}`;
    document.getElementById("none").hidden = shown > 0;
    keep();
  }

  // Keep the filter when the user opens a sync and comes back.
  const KEY = "cohort-syncs";
  function keep() {
    try {
      window.sessionStorage.setItem(KEY, JSON.stringify([search.value, only.checked]));
    } catch {
      // no storage: the filter is not kept
    }
  }
  try {
    const [text, checked] = JSON.parse(window.sessionStorage.getItem(KEY) ?? "[]");
    if (typeof text === "string") search.value = text;
    only.checked = checked === true;
  } catch {
    // nothing was stored
  }
  search.addEventListener("input", narrow);
  only.addEventListener("change", narrow);
  narrow();
})();
