// The text side: marks of evidence, folding, pages, and words that a coder marks to be evidence. Offsets are code points.

import { say } from "./encounter_shell.js";

const halves = document.querySelector(".halves");
const visits = new Map(); // row → which of its places was shown last
const turns = new WeakMap(); // mark → which of its rows was shown last

export const marks = () => [...document.querySelectorAll("#documents .mark")].filter((mark) => mark.closest("[hidden]") === null);

const words = (element, name) => (element.dataset[name] ?? "").split(" ").filter(Boolean);

/** Show which marks belong to a row; "" for none. */
export function light(item) {
  for (const mark of document.querySelectorAll("#documents .mark.on")) mark.classList.remove("on");
  for (const mark of document.querySelectorAll("#documents .mark.here")) {
    if (!words(mark, "items").includes(item)) mark.classList.remove("here");
  }
  if (!item) return;
  for (const mark of document.querySelectorAll(`#documents [data-items~="${item}"]`)) mark.classList.add("on");
}

/** The mark at which a place begins, on the side of the document that is shown: its text or its pages. */
function beginning(place) {
  return [...document.querySelectorAll(`#documents [data-begins~="${place}"]`)].find((mark) => mark.closest("[hidden]") === null);
}

function come(mark) {
  for (const here of document.querySelectorAll("#documents .here")) here.classList.remove("here");
  const part = mark.closest("details");
  if (part) part.open = true;
  mark.classList.add("here");
  rove(mark);
  mark.scrollIntoView({ block: "center" });
  mark.focus({ preventScroll: true });
}

/** Go to a row's evidence: the place shown last, `step` places on. Says which of how many it is. */
export function showEvidence(row, step = 0) {
  const places = words(row, "places");
  const item = row.dataset.item;
  if (places.length === 0) {
    say(halves.dataset.noEvidence);
    return;
  }
  const at = ((visits.get(item) ?? (step > 0 ? -1 : 0)) + step + places.length) % places.length;
  visits.set(item, at);
  const mark = beginning(places[at]);
  if (!mark) return;
  light(item);
  come(mark);
  say(halves.dataset.placeWords.replace("{n}", at + 1).replace("{total}", places.length));
}

/** The row that a mark leads to; of several, the next one with every call. */
export function rowOf(mark) {
  const items = words(mark, "items");
  const turn = ((turns.get(mark) ?? -1) + 1) % items.length;
  turns.set(mark, turn);
  const row = document.getElementById(`i-${items[turn]}`);
  if (row) {
    const place = words(mark, "places").find((one) => words(row, "places").includes(one));
    if (place) visits.set(items[turn], words(row, "places").indexOf(place));
  }
  return row;
}

/** The next mark in the order of the text, or the one before. */
export function stepMark(step) {
  const all = marks().filter((mark) => mark.dataset.begins);
  if (all.length === 0) return;
  const here = document.querySelector("#documents .here");
  const at = here ? all.indexOf(here.dataset.begins ? here : all.find((mark) => mark === here)) : -1;
  come(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
}

/** One stop for the Tab key among the marks. */
export function rove(current) {
  const all = marks();
  const stop = current ?? all.find((mark) => mark.classList.contains("here")) ?? all[0];
  for (const mark of document.querySelectorAll("#documents .mark")) mark.tabIndex = mark === stop ? 0 : -1;
}

/** Marks whose rows are all gone are shown so, without the text being sent again. */
export function drop() {
  const gone = new Set([...document.querySelectorAll("#review .code-row.gone")].map((row) => row.dataset.item));
  for (const mark of document.querySelectorAll("#documents .mark")) {
    mark.classList.toggle("dropped", words(mark, "items").every((item) => gone.has(item)));
  }
}

/** What of the text is folded, shown as pages and scrolled to; given back, it makes a new text look so. */
export function looks(saved) {
  const parts = () => [...document.querySelectorAll("#documents details.part")];
  const sheets = () => [...document.querySelectorAll("#documents .sheet")];
  const left = document.querySelector(".texts");
  if (!saved) {
    return {
      open: parts().map((part) => part.open),
      scans: sheets().map((sheet) => sheet.querySelector(".as-scan:not([hidden])") !== null),
      top: left.scrollTop,
    };
  }
  parts().forEach((part, at) => { part.open = saved.open[at] ?? true; });
  sheets().forEach((sheet, at) => { if (saved.scans[at]) show(sheet, "scan"); });
  left.scrollTop = saved.top;
  return saved;
}

/** A document as text or as its pages. */
export function show(sheet, way) {
  if (!sheet.querySelector(".as-scan")) return;
  sheet.querySelector(".as-text").hidden = way === "scan";
  sheet.querySelector(".as-scan").hidden = way !== "scan";
  for (const button of sheet.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", String(button.dataset.show === way));
  rove();
}

export function flip() {
  const sheet = document.querySelector("#documents .here")?.closest(".sheet") ?? document.querySelector('.sheet[data-scanned="yes"]');
  if (!sheet) return false;
  show(sheet, sheet.querySelector(".as-scan")?.hidden ? "scan" : "text");
  return true;
}

export function fold(open) {
  const parts = [...document.querySelectorAll("#documents details.part")];
  const opens = open ?? parts.some((part) => !part.open);
  for (const part of parts) part.open = opens;
}

const length = (text) => [...text].length;

/** The words marked in a text: {document, start, end, text}, or null. */
export function selected() {
  const selection = window.getSelection();
  if (!selection || selection.isCollapsed || selection.rangeCount === 0) return null;
  const range = selection.getRangeAt(0);
  const block = (node) => (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest?.(".text");
  const from = block(range.startContainer);
  if (!from || from !== block(range.endContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(from);
  before.setEnd(range.startContainer, range.startOffset);
  const text = range.toString();
  const start = Number(from.dataset.start) + length(before.toString());
  if (text.trim() === "") return null;
  const lead = length(text) - length(text.trimStart());
  return {
    document: Number(from.dataset.document),
    start: start + lead,
    end: start + lead + length(text.trim()),
    text: text.trim(),
  };
}

document.addEventListener("click", (event) => {
  const way = event.target.closest("[data-show]");
  if (way) show(way.closest(".sheet"), way.dataset.show);
  if (event.target.closest("[data-fold]")) fold(false);
  if (event.target.closest("[data-unfold]")) fold(true);
});
