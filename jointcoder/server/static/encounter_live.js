// A record that is being coded: stages, marks and codes as they come; then the page becomes the review.

import { say } from "./encounter_shell.js";

const halves = document.querySelector(".halves");
const put = (id, html) => { document.getElementById(id).innerHTML = html; };

if (halves.dataset.stages) {
  const source = new EventSource(halves.dataset.stages);
  source.addEventListener("stage", (event) => {
    document.getElementById("live-state").textContent = halves.dataset.coding;
    document.getElementById("live-stages").insertAdjacentHTML("beforeend", event.data);
  });
  source.addEventListener("progress", (event) => document.getElementById("live-bar").setAttribute("width", event.data));
  source.addEventListener("text", (event) => { document.getElementById("documents").outerHTML = event.data; });
  source.addEventListener("found", (event) => put("live-found", event.data));
  source.addEventListener("done", () => {
    source.close();
    say(halves.dataset.done);
    window.location.reload();
  });
  source.addEventListener("failed", () => {
    source.close();
    say(halves.dataset.failed, { alarm: true });
    window.location.reload();
  });
  // The browser connects anew by itself; what it has shown comes again and would stand twice.
  source.addEventListener("open", () => put("live-stages", ""));
  source.addEventListener("error", () => { document.getElementById("live-state").textContent = halves.dataset.lost; });
}
