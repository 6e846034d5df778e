// The worklist by keyboard, and kept up to date without taking the focus away.
import { bind, say } from "./shell.js";

const EVERY_MS = 10000;
const QUIET_MS = 5 * 60000; // nobody touched the page for so long: it asks no more, so that the session can run out
const list = () => document.getElementById("worklist");
const links = () => [...list().querySelectorAll("a.open")];

// The row at hand; while a swap has taken the focus away for a moment, the one that had it.
let last = "";
document.addEventListener("focusin", (event) => {
  const link = event.target.closest("#worklist tbody tr")?.querySelector("a.open");
  if (link) last = link.id;
});
function row() {
  const focused = document.activeElement;
  return (focused === document.body ? document.getElementById(last) : focused)?.closest("#worklist tbody tr");
}

function step(by) {
  return () => {
    const all = links();
    if (!all.length) return false;
    const here = row();
    const at = here ? all.indexOf(here.querySelector("a.open")) : -1;
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
    return true;
  };
}

const polled = (event) => event.detail.requestConfig.triggeringEvent?.type === "refresh";

// Keys pressed while the list is on its way or not yet settled wait for it: its buttons do nothing before.
let unsettled = false;
const waiting = [];
function settled() {
  unsettled = false;
  while (waiting.length && !unsettled) waiting.shift()();
}
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id === "worklist" && !polled(event)) unsettled = true;
});
document.addEventListener("htmx:afterSettle", settled);
document.addEventListener("htmx:afterRequest", (event) => { if (!event.detail.successful) settled(); });

function act(key) {
  return () => {
    if (unsettled) {
      waiting.push(act(key));
      return true;
    }
    const button = row()?.querySelector(`button[data-key="${key}"]`);
    if (!button) return false;
    button.click();
    return true;
  };
}

function refresh() {
  if (!document.hidden && !list().classList.contains("htmx-request")) window.htmx.trigger(list(), "refresh");
}

bind("j", step(1));
bind("k", step(-1));
bind("ArrowDown", step(1), { when: () => document.activeElement?.closest("#worklist tbody") !== null && document.activeElement !== document.body });
bind("ArrowUp", step(-1), { when: () => document.activeElement?.closest("#worklist tbody") !== null && document.activeElement !== document.body });
bind("t", act("t"));
bind("r", act("r"));
bind("n", () => { document.getElementById("take-next")?.click(); });
bind("f", () => { document.getElementById("filter-band").focus(); });
bind(".", refresh);

// The list is fetched again and again; what did not change is not swapped, so that no screen reader starts anew.
let state = "";
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id !== "worklist") return;
  const fresh = event.detail.xhr.getResponseHeader("X-State");
  if (!fresh) { // no list but an error: it is said, and the list stays
    event.detail.shouldSwap = false;
    say(new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html").body.textContent.trim(), { alarm: true });
    return;
  }
  if (polled(event) && fresh === state) event.detail.shouldSwap = false;
  else unsettled = true;
  state = fresh;
});
document.addEventListener("htmx:afterSwap", () => {
  const field = document.querySelector("#next-form [data-back]");
  if (field) field.value = list().dataset.back;
});
// A list that is asked for again (a field that was sought in loses the focus) is no step to go back over.
const asks = (url) => [...new URL(url, location.href).searchParams].filter(([, value]) => value).map(String).sort().join("&");
document.addEventListener("htmx:beforeHistoryUpdate", (event) => {
  const history = event.detail.history;
  if (asks(history.path) === asks(location.href)) history.type = "replace";
});
let touched = Date.now();
for (const name of ["keydown", "pointerdown", "pointermove", "scroll"]) {
  document.addEventListener(name, () => {
    const rested = Date.now() - touched > QUIET_MS;
    touched = Date.now();
    if (rested) refresh();
  }, { passive: true });
}
document.addEventListener("visibilitychange", refresh);
window.addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
setInterval(() => { if (Date.now() - touched <= QUIET_MS) refresh(); }, EVERY_MS);
