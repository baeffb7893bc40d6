// Keeps the strip of requests fresh. The server makes the rows; without this script they are those of the page's load.
"use strict";
const SHOWN = 40, EACH_MS = 1000, SLOWEST_MS = 15000;
const strip = document.getElementById("live");
const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const tables = { requests: document.getElementById("live-requests"), budget: document.getElementById("live-budget") };
let cursor = strip.dataset.cursor, wait = EACH_MS, timer = 0;

function say(text) {
  // A screen reader is told of changes only.
  if (state.textContent !== text) state.textContent = text;
}

function show(found) {
  const restarted = found.cursor < Number(cursor);
  if (restarted) tables.requests.replaceChildren();
  const before = tables.requests.rows.length;
  tables.requests.insertAdjacentHTML("afterbegin", found.requests);
  for (const row of [...tables.requests.rows].slice(0, tables.requests.rows.length - before)) row.classList.add("fresh");
  for (const row of [...tables.requests.rows].slice(SHOWN)) row.remove();
  if (tables.budget.innerHTML !== found.budget) tables.budget.innerHTML = found.budget;
  for (const body of Object.values(tables)) {
    body.closest("section").querySelector(".empty").hidden = body.rows.length > 0;
  }
  cursor = found.cursor;
}

async function poll() {
  try {
    const answer = await fetch(`/sandbox/live?after=${cursor}`, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    const found = await answer.json();
    // Whoever has paused meanwhile is reading.
    if (pause.getAttribute("aria-pressed") === "true") return;
    show(found);
    wait = EACH_MS;
    say("Live");
  } catch {
    wait = Math.min(wait * 2, SLOWEST_MS);
    say("The sandbox does not answer");
  }
  next();
}

function next() {
  clearTimeout(timer);
  const stopped = document.hidden || pause.getAttribute("aria-pressed") === "true";
  if (!stopped) timer = setTimeout(poll, wait);
}

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  say(paused ? "Paused" : "Live");
  next();
});
document.addEventListener("visibilitychange", next);
state.parentElement.hidden = false;
next();
