// What every page shares: shortcuts, the help overlay, words said aloud, small dialogs. No phrases: they stand in data-*.

const TYPING = "input:not([type=checkbox]):not([type=radio]):not([type=button]):not([type=submit]), textarea, select, [contenteditable=true]";
const bindings = new Map();
let pending = "";
let pendingTimer = 0;

/** Call `action(event)` when `key` is pressed: "j", "?", "Enter", "Shift+ArrowUp", "Alt+1", or two in a row: "g w".
 *  Not while a dialog is open or a field has the focus, unless `typing`. `when()` false: the key is left to the browser.
 *  An action that returns false leaves it too. */
export function bind(key, action, { when = () => true, typing = false } = {}) {
  bindings.set(key, { action, when, typing });
}

/** Say something to screen readers, and show it for a while. `alarm`: at once, and until the next word. */
export function say(words, { alarm = false } = {}) {
  const region = document.getElementById(alarm ? "alarm" : "live");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = words; });
  const toast = document.getElementById("toast");
  toast.textContent = words;
  toast.classList.toggle("alarm", alarm);
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { toast.hidden = true; }, alarm ? 12000 : 5000);
}

/** The token that unsafe requests carry in X-CSRF-Token. */
export function csrf() {
  return document.querySelector("meta[name=csrf-token]")?.content ?? "";
}

function named(event) {
  let name = event.key === " " ? "Space" : event.key;
  const letter = name.length === 1;
  if (event.shiftKey && !letter) name = `Shift+${name}`;
  if (event.altKey) name = `Alt+${name}`;
  if (event.ctrlKey) name = `Ctrl+${name}`;
  if (event.metaKey) name = `Meta+${name}`;
  return name;
}

function pressed(event) {
  if (event.defaultPrevented || event.isComposing) return;
  const name = named(event);
  const typing = event.target instanceof Element && event.target.matches(TYPING);
  if (typing && name === "Escape") {
    event.target.blur();
    return;
  }
  const double = pending ? `${pending} ${name}` : "";
  const found = bindings.get(double) ?? bindings.get(name);
  const blocked = document.querySelector("dialog[open]") !== null || typing;
  if (found && (!blocked || found.typing) && found.when()) {
    pending = "";
    if (found.action(event) !== false) event.preventDefault();
    return;
  }
  const begins = !blocked && [...bindings.keys()].some((key) => key.startsWith(`${name} `));
  pending = begins ? name : "";
  clearTimeout(pendingTimer);
  pendingTimer = setTimeout(() => { pending = ""; }, 1500);
}

function goes(path) {
  return () => {
    if (!document.querySelector(`.bar a[href="${path}"]`)) return false;
    window.location.assign(path);
    return true;
  };
}

function help() {
  document.getElementById("help").showModal();
}

document.addEventListener("keydown", pressed);
bind("?", help);
bind("g w", goes("/worklist"));
bind("g u", goes("/upload"));
bind("g a", goes("/account"));
bind("/", () => {
  const field = document.querySelector("[data-search]");
  if (!field) return false;
  field.focus();
  field.select();
  return true;
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
});

// A form that changes much asks first: <form data-asks="words">.
document.addEventListener("submit", (event) => {
  const words = event.target.dataset?.asks;
  if (words && !window.confirm(words)) event.preventDefault();
});

// A list that chooses by itself: <select data-submits>.
document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-submits]")) event.target.form.requestSubmit();
});

// Words that an htmx answer sends along (HX-Trigger: {"say": …} or {"alarm": …}).
document.addEventListener("say", (event) => say(event.detail.value ?? String(event.detail)));
document.addEventListener("alarm", (event) => say(event.detail.value ?? String(event.detail), { alarm: true }));
document.addEventListener("htmx:sendError", () => say(document.body.dataset.lost, { alarm: true }));
document.addEventListener("htmx:beforeSwap", (event) => {
  // A refusal is shown where the answer would have stood, if it says so; a page of errors is not put into another page.
  const status = event.detail.xhr.status;
  if (status >= 400 && event.detail.xhr.getResponseHeader("X-Fragment") === "1") event.detail.shouldSwap = true;
});

const told = document.querySelector("[data-done]");
if (told) {
  say(told.dataset.done);
  const clean = new URL(window.location.href);
  clean.searchParams.delete("done");
  window.history.replaceState(window.history.state, "", clean);
}
