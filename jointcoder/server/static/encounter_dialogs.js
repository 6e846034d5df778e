// Dialogs: searching a code, writing a comment or a reason, linking. They stand outside the half that is swapped, so what
// was typed outlives a conflict; drafts outlive closing.

import { selected } from "./encounter_text.js";

const choose = document.getElementById("choose");
const words = document.getElementById("words");
const link = document.getElementById("link");
const drafts = new Map();

const field = (dialog, name) => dialog.querySelector(`[name="${name}"]`);
const clear = (element) => element.replaceChildren();

/** Search for a code to add or to put in another one's place. */
export function openSearch(button) {
  const marked = "selected" in button.dataset || button.dataset.search === "add" ? selected() : null;
  field(choose, "kind").value = button.dataset.search;
  field(choose, "item").value = button.dataset.item ?? "";
  field(choose, "evidence").value = marked ? JSON.stringify([{ document: marked.document, start: marked.start, end: marked.end }]) : "";
  choose.querySelector("h2").textContent = button.dataset.title;
  const quoted = choose.querySelector(".chosen-words");
  quoted.hidden = !marked;
  quoted.querySelector("q").textContent = marked?.text ?? "";
  for (const radio of choose.querySelectorAll("[name=of]")) {
    if (button.dataset.kind) radio.checked = radio.value === button.dataset.kind;
    radio.disabled = button.dataset.search === "replace";
  }
  clear(document.getElementById("hits"));
  clear(document.getElementById("entry"));
  const q = field(choose, "q");
  q.value = (marked?.text ?? button.dataset.query ?? "").slice(0, 200);
  choose.showModal();
  q.focus();
  q.select();
  if (q.value) window.htmx.trigger(q, "search");
}

/** Write a comment, a question, or a reason. */
export function openWords(button) {
  const { words: kind, item = "", finding = "", title, about = "" } = button.dataset;
  field(words, "kind").value = kind;
  field(words, "item").value = item;
  field(words, "finding").value = finding;
  words.querySelector("h2").textContent = title;
  const label = words.querySelector("label");
  label.textContent = label.getAttribute(`data-label-${kind}`);
  const told = words.querySelector(".about");
  told.textContent = about;
  told.hidden = !about;
  words.dataset.draft = `${kind} ${item} ${finding}`;
  field(words, "words").value = drafts.get(words.dataset.draft) ?? "";
  words.showModal();
  field(words, "words").focus();
}

/** Link a row with one of the other kind. */
export function openLink(button) {
  const row = button.closest(".code-row");
  const procedure = row.dataset.kind === "procedure";
  const other = procedure ? "diagnosis" : "procedure";
  const select = document.getElementById("link-other");
  const rows = [...document.querySelectorAll(`ol.codes .code-row[data-kind="${other}"]`)];
  select.replaceChildren(...rows.map((one) => new Option(`${one.dataset.code} ${one.dataset.name}`, one.dataset.item)));
  select.name = other;
  const hidden = [...link.querySelectorAll("input[type=hidden]")];
  for (const input of hidden) input.disabled = input.name === other;
  hidden.find((input) => input.name === row.dataset.kind).value = row.dataset.item;
  link.querySelector("h2").textContent = button.dataset.title;
  link.querySelector(".nothing").hidden = rows.length > 0;
  link.querySelector("button.primary").disabled = rows.length === 0;
  link.showModal();
  select.focus();
}

/** After a decision from a dialog: taken, it closes and forgets; not taken, it stays as it is. */
export function answered(form, taken) {
  const dialog = form.closest("dialog");
  if (!dialog || !taken) return;
  drafts.delete(dialog.dataset.draft);
  if (dialog === words) field(words, "words").value = "";
  dialog.close();
}

words.addEventListener("close", () => {
  const text = field(words, "words").value;
  if (text) drafts.set(words.dataset.draft, text);
});

// Hits are gone through with the arrow keys; Enter on one shows it, and Enter again takes it.
choose.addEventListener("keydown", (event) => {
  const hits = [...choose.querySelectorAll("#hits [data-hit]")];
  const at = hits.indexOf(document.activeElement);
  const typing = event.target.name === "q";
  if (event.key === "Enter" && typing) {
    event.preventDefault();
    hits[0]?.focus();
  } else if (event.key === "ArrowDown" && (typing || at >= 0)) {
    event.preventDefault();
    hits[Math.min(at + 1, hits.length - 1)]?.focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    event.preventDefault();
    (hits[at - 1] ?? field(choose, "q")).focus();
  }
});

let chosen = null;
let looking = 0;
choose.addEventListener("focusin", (event) => {
  const hit = event.target.closest("#hits [data-hit]");
  clearTimeout(looking);
  if (hit) looking = setTimeout(() => window.htmx.trigger(hit, "look"), 150); // not while keys run through the list
});
choose.addEventListener("click", (event) => {
  const hit = event.target.closest("[data-hit]");
  if (!hit) return;
  clearTimeout(looking);
  chosen = hit;
  for (const other of choose.querySelectorAll("[data-hit]")) other.setAttribute("aria-pressed", String(other === hit));
});
choose.addEventListener("change", (event) => {
  if (event.target.name === "of" && field(choose, "q").value) window.htmx.trigger(field(choose, "q"), "search");
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id !== "entry" || !chosen) return;
  if (event.detail.requestConfig?.elt !== chosen) return;
  chosen = null;
  choose.querySelector("#entry [data-take], #entry [data-hit]")?.focus();
});
