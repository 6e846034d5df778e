// The encounter page: rows of codes, keys, decisions by htmx, dragging, focus kept through swaps. Words stand in the page.

import { answered, openLink, openSearch, openWords } from "./encounter_dialogs.js";
import { bind, say } from "./encounter_shell.js";
import { drop, flip, fold, light, looks, rove, rowOf, selected, showEvidence, stepMark } from "./encounter_text.js";

const halves = document.querySelector(".halves");
const review = () => document.getElementById("review");
const rows = () => [...document.querySelectorAll("#review ol.codes > .code-row")];
const rowById = (item) => document.getElementById(`i-${item}`);
const editable = () => review().dataset.editable === "yes";

let current = ""; // the row that keys are about
let place = 0; // where it stood, for when it is gone
let inside = ""; // what had the focus in it
let waiting = []; // keys pressed while a decision was on its way
let busy = false;

// ---------------------------------------------------------------------------------------------------------- rows

function choose(row, { focus = false } = {}) {
  for (const other of document.querySelectorAll("#review .code-row.current")) {
    if (other !== row) {
      other.classList.remove("current");
      other.removeAttribute("aria-current");
      other.tabIndex = -1;
    }
  }
  if (!row) return;
  row.classList.add("current");
  row.setAttribute("aria-current", "true");
  row.tabIndex = 0;
  current = row.dataset.item;
  place = Math.max(0, rows().indexOf(row));
  light(current);
  if (focus) reach(row);
}

/** Put the focus on something, opening what hides it. */
function reach(element) {
  for (let fold_ = element.parentElement?.closest("details"); fold_; fold_ = fold_.parentElement?.closest("details")) fold_.open = true;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.findIndex((row) => row.dataset.item === current);
  choose(all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)], { focus: true });
}

function currentRow() {
  return rowById(current) ?? rows()[0] ?? null;
}

/** After the right half was swapped: the same row, or the one in its place, with the focus where it was. */
function restore(focus) {
  const row = rowById(current) ?? rows()[Math.min(place, rows().length - 1)];
  const standing = row?.classList.contains("gone") ? rows()[Math.min(place, rows().length - 1)] ?? row : row;
  choose(standing ?? null);
  drop();
  rove();
  if (!focus || !standing || document.querySelector("dialog[open]")) return;
  const control = inside ? standing.querySelector(`.row-more [data-do="${inside}"]:not([disabled])`) : null;
  reach(control ?? standing);
}

// ----------------------------------------------------------------------------------------------------- decisions

function press(name, { advance = false } = {}) {
  return () => {
    if (!editable()) {
      say(halves.dataset.readOnly);
      return;
    }
    if (busy) {
      waiting.push(press(name, { advance }));
      return;
    }
    const row = currentRow();
    const button = row?.querySelector(`.row-more [data-do="${name}"]:not([disabled])`);
    if (!button) {
      if (advance) step(1); // decided already: on to the next one
      return;
    }
    inside = "";
    button.click();
    if (advance) {
      const next = rows()[rows().indexOf(row) + 1];
      if (next) current = next.dataset.item;
    }
  };
}

function pressBar(name) {
  return () => {
    if (busy) {
      waiting.push(pressBar(name));
      return true;
    }
    const button = document.querySelector(`#review .review-bar [data-do="${name}"]:not([disabled])`);
    if (!button) return false;
    button.click();
    return true;
  };
}

function send(values) {
  const etag = review().dataset.etag;
  window.htmx.ajax("POST", `${halves.dataset.url}/decisions`, { source: review(), target: "#review", swap: "outerHTML", values: { ...values, etag } });
}

let seen = review();
let look = null;
let hadFocus = false;
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb === "post" && event.detail.target === review()) busy = true;
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { elt } = event.detail.requestConfig;
  // The dialog closes before the swap: it gives the focus back, and what lies under an open one cannot have it.
  if (elt instanceof HTMLFormElement) answered(elt, event.detail.xhr.status === 200);
  look = looks();
  const active = document.activeElement;
  hadFocus = active === document.body || review().contains(active);
  inside = active?.closest(".row-more") ? active.dataset.do ?? "" : "";
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig.verb !== "post" || event.detail.successful) return; // taken: see below
  busy = false;
  waiting = []; // what was pressed after a refusal was pressed on something else
});
document.addEventListener("htmx:afterSettle", () => {
  if (look) looks(look);
  look = null;
  placeNotice();
  if (review() !== seen) {
    seen = review();
    restore(hadFocus);
    const drg = document.getElementById("drg");
    if (drg?.open) loadDrg(drg);
    busy = false;
    waiting.shift()?.();
  }
});
document.addEventListener("desk:decided", (event) => {
  const row = event.detail.item ? rowById(event.detail.item) : null;
  if (row) choose(row, { focus: true });
});
document.addEventListener("desk:focus", (event) => {
  const target = document.getElementById(event.detail.to);
  if (!target) return;
  if (target.matches(".code-row")) choose(target);
  reach(target);
});

/** A notice stands where the coder is: in the dialog that is open, else above the codes. */
function placeNotice() {
  const notice = document.getElementById("notice");
  const slot = document.querySelector("dialog[open] .notice-slot");
  if (slot) slot.append(notice);
  else if (notice.closest("dialog")) document.querySelector(".sheet-codes").prepend(notice);
}

function dismiss() {
  const notice = document.getElementById("notice");
  const empty = document.createElement("div");
  empty.id = "notice";
  notice.replaceWith(empty);
  placeNotice();
}

// --------------------------------------------------------------------------------------------------------- mouse

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  const mark = at("#documents .mark");
  if (mark) {
    event.preventDefault();
    if (!window.getSelection().isCollapsed) return; // words are being marked, not a mark clicked
    for (const here of document.querySelectorAll("#documents .here")) here.classList.remove("here");
    mark.classList.add("here");
    rove(mark);
    const row = rowOf(mark);
    if (row) choose(row, { focus: true });
    return;
  }
  const to = at("[data-row], [data-to], [data-row-finding]");
  if (to) {
    event.preventDefault();
    const target = document.getElementById(to.getAttribute("href").slice(1));
    if (target?.matches(".code-row")) choose(target, { focus: true });
    else if (target) reach(target);
    return;
  }
  const row = at("#review .code-row");
  if (row) {
    choose(row);
    if (!at("button, a, select")) reach(row);
  }
  if (at("[data-jump]")) showEvidence(row, 1);
  if (at("[data-search]")) openSearch(at("[data-search]"));
  if (at("[data-words]")) openWords(at("[data-words]"));
  if (at("[data-link]")) openLink(at("[data-link]"));
  if (at("[data-why]")) document.getElementById("why").showModal();
  if (at("[data-dismiss]")) dismiss();
});
document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.("#review .code-row");
  if (row && !row.classList.contains("current")) choose(row);
});
document.addEventListener("selectionchange", () => {
  const bar = document.getElementById("selection");
  if (bar) bar.hidden = !(editable() && selected());
});

// A press on the button above the text must not take away the words that are marked.
document.getElementById("selection")?.addEventListener("mousedown", (event) => event.preventDefault());

// ------------------------------------------------------------------------------------------------------ dragging

let dragged = null;
const below = (event, row) => event.clientY > row.getBoundingClientRect().top + row.getBoundingClientRect().height / 2;
const clean = () => document.querySelectorAll(".before, .after, .dragged").forEach((row) => row.classList.remove("before", "after", "dragged"));

document.addEventListener("dragstart", (event) => {
  const row = event.target.closest?.('.code-row[draggable="true"]');
  if (!row) return;
  dragged = row;
  row.classList.add("dragged");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", row.dataset.code);
});
document.addEventListener("dragover", (event) => {
  const row = event.target.closest?.("ol.codes > .code-row");
  if (!dragged || !row || row === dragged || row.dataset.kind !== dragged.dataset.kind) return;
  event.preventDefault();
  for (const other of document.querySelectorAll(".before, .after")) other.classList.remove("before", "after");
  row.classList.add(below(event, row) ? "after" : "before");
});
document.addEventListener("drop", (event) => {
  const row = event.target.closest?.("ol.codes > .code-row");
  if (!dragged || !row || row === dragged || row.dataset.kind !== dragged.dataset.kind) return;
  event.preventDefault();
  const from = Number(dragged.dataset.rank);
  const gap = Number(row.dataset.rank) + (below(event, row) ? 1 : 0);
  const to = gap > from ? gap - 1 : gap;
  current = dragged.dataset.item;
  if (to !== from) send({ kind: "move", item: dragged.dataset.item, to });
});
document.addEventListener("dragend", () => { dragged = null; clean(); });

// ---------------------------------------------------------------------------------------------------------- keys

const inText = () => document.activeElement?.closest("#documents") !== null;

bind("j", () => step(1));
bind("k", () => step(-1));
bind("ArrowDown", (event) => (event.target.closest?.(".code-row") ? step(1) : false));
bind("ArrowUp", (event) => (event.target.closest?.(".code-row") ? step(-1) : false));
bind("Enter", (event) => {
  if (!event.target.matches?.(".code-row")) return false; // links and buttons do what they do
  showEvidence(event.target);
  return true;
});
bind("e", () => { if (currentRow()) showEvidence(currentRow(), 1); });
bind("E", () => { if (currentRow()) showEvidence(currentRow(), -1); });
bind("]", () => stepMark(1));
bind("[", () => stepMark(-1));
bind("s", () => { if (inText()) choose(currentRow(), { focus: true }); else if (currentRow()) showEvidence(currentRow()); });
bind("a", press("accept", { advance: true }));
bind("x", press("reject"));
bind("r", press("replace"));
bind("p", press("principal"));
bind("l", press("link"));
bind("c", press("comment"));
bind("q", press("query"));
bind("Alt+ArrowUp", press("up"));
bind("Alt+ArrowDown", press("down"));
bind("w", () => { currentRow()?.querySelector('[data-do="why"]')?.click(); });
bind("o", () => { const row = currentRow(); choose(row); row?.querySelector("[data-poa]:not([disabled])")?.focus(); });
bind("n", pressBar("add"));
bind("b", pressBar("bulk"));
bind("u", pressBar("undo"));
bind("t", pressBar("claim"));
bind("F", pressBar("finish"));
bind("f", () => nextFinding());
bind("v", () => {
  const here = document.activeElement?.closest(".finding") ?? nextFinding();
  here?.querySelector('[data-do="override"]')?.click();
});
bind("z", () => fold());
bind("i", () => flip());
bind("d", () => { const drg = document.getElementById("drg"); drg.open = !drg.open; reach(drg.querySelector("summary")); });

function nextFinding() {
  const all = [...document.querySelectorAll("#review .finding:not(.overridden)")];
  if (all.length === 0) return null;
  const next = all[(all.indexOf(document.activeElement?.closest(".finding")) + 1) % all.length];
  reach(next);
  return next;
}

// ----------------------------------------------------------------------------------------------------------- DRG

function loadDrg(drg) {
  window.htmx.ajax("GET", drg.dataset.load, { target: "#drg-body", swap: "innerHTML" });
}
document.getElementById("drg")?.addEventListener("toggle", (event) => {
  if (event.target.open) loadDrg(event.target);
});

rove();
choose(rows()[0] ?? null);
document.documentElement.dataset.ready = "yes";
performance.mark("usable");
