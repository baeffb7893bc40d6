// Refreshes the live strip. The server makes the rows; without this script they stay as they were when the page was loaded.
"use strict";
const MAX_REQUESTS = 40, POLL_MS = 1000, MAX_POLL_MS = 15000;
const strip = document.getElementById("live");
const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const tables = {
  requests: document.getElementById("live-requests"),
  budget: document.getElementById("live-budget"),
  breaches: document.getElementById("live-breaches"),
};
const chart = document.getElementById("live-chart");
let shownChart = "";
let cursor = strip.dataset.cursor, wait = POLL_MS, timer = 0;

function showState(text) {
  // A screen reader reads each write aloud, even of the same text.
  if (state.textContent !== text) state.textContent = text;
}

function showRows(update) {
  const restarted = update.cursor < Number(cursor);
  if (restarted) tables.requests.replaceChildren();
  const before = tables.requests.rows.length;
  tables.requests.insertAdjacentHTML("afterbegin", update.requests);
  for (const row of [...tables.requests.rows].slice(0, tables.requests.rows.length - before)) row.classList.add("fresh");
  for (const row of [...tables.requests.rows].slice(MAX_REQUESTS)) row.remove();
  for (const name of ["budget", "breaches"]) {
    if (tables[name].innerHTML !== update[name]) tables[name].innerHTML = update[name];
  }
  // Compared as it came: a browser writes markup in its own way.
  if (shownChart !== update.chart) chart.innerHTML = shownChart = update.chart;
  for (const body of Object.values(tables)) {
    body.closest("section").querySelector(".empty").hidden = body.rows.length > 0;
  }
  cursor = update.cursor;
}

async function poll() {
  try {
    const response = await fetch(`/sandbox/live?after=${cursor}`, { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(response.status);
    const update = await response.json();
    // The reader may have paused meanwhile: the rows must not move then.
    if (pause.getAttribute("aria-pressed") === "true") return;
    showRows(update);
    wait = POLL_MS;
    showState("Live");
  } catch {
    wait = Math.min(wait * 2, MAX_POLL_MS);
    showState("The sandbox does not answer");
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  const stopped = document.hidden || pause.getAttribute("aria-pressed") === "true";
  if (!stopped) timer = setTimeout(poll, wait);
}

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  showState(paused ? "Paused" : "Live");
  schedule();
});
document.addEventListener("visibilitychange", schedule);
state.parentElement.hidden = false;
schedule();
