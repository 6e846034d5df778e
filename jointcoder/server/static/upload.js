// Files dropped onto the field are chosen as if picked in it; their names are shown before they are sent.
const drop = document.getElementById("drop");
const input = document.getElementById("files");
const chosen = document.getElementById("chosen");

function show() {
  chosen.replaceChildren(...[...input.files].map((file) => {
    const item = document.createElement("li");
    item.textContent = file.name;
    return item;
  }));
  chosen.hidden = input.files.length === 0;
}

for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!event.dataTransfer.files.length) return;
  input.files = event.dataTransfer.files;
  show();
});
input.addEventListener("change", show);
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "result") return;
  input.value = "";
  show();
  event.detail.target.focus();
});
