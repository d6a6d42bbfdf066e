// Goes through the steps. Every number on the page was written by Python; this only shows and hides.
"use strict";
const {steps, operations, forward} = JSON.parse(document.getElementById("steps").textContent);
const element = id => document.getElementById(id);
const graph = element("graph"), svg = graph.querySelector("svg");
const [width, height] = ["width", "height"].map(name => +svg.getAttribute(name));
let now = 0, zoom = 1;

function show(step) {
  now = Math.max(0, Math.min(step, steps.length - 1));
  const {box, heading, called, operation, rows} = steps[now];
  const backward = now > forward;
  for (const known of svg.querySelectorAll("[data-step]"))
    known.classList.toggle("future", +known.dataset.step > now);
  for (const road of svg.querySelectorAll(".road, .box"))
    road.classList.toggle("now", now > 0 && now === +(backward ? road.dataset.back : road.dataset.step));
  if (box) element(box).classList.add("now");
  graph.classList.toggle("backward", backward);

  const {place, code, formula} = operations[operation]?.[backward ? "backward" : "forward"] ?? {};
  const texts = {heading, called, place, code};
  for (const id in texts) element(id).textContent = texts[id] ?? "";
  element("formula").replaceChildren(...(formula ?? []).map(([tag, text]) => filled(tag, text)));
  element("source").hidden = !code;
  element("numbers").replaceChildren(table(rows));
  element("slider").value = now;
  element("slider").setAttribute("aria-valuetext", heading);
  for (const id of ["first", "back"]) element(id).disabled = now === 0;
  for (const id of ["next", "last"]) element(id).disabled = now === steps.length - 1;
  if (box) bring(element(box));
}

function table(rows) {
  const made = document.createElement("table");
  for (const [name, text, kind] of rows) {
    const cell = filled("td", text);
    cell.className = kind;
    made.insertRow().append(filled("td", name), cell);
  }
  return made;
}

function filled(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function bring(box) {  // into the middle of its pane, without moving the page
  const a = box.getBoundingClientRect(), b = graph.getBoundingClientRect();
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  graph.scrollBy({left: a.x + a.width / 2 - b.x - b.width / 2, top: a.y + a.height / 2 - b.y - b.height / 2, behavior});
}

function scale(to) {
  zoom = Math.max(0.1, Math.min(to, 3));
  svg.setAttribute("width", width * zoom);
  svg.setAttribute("height", height * zoom);
}

const fitting = () => (graph.clientWidth - 16) / width;
const jumps = {first: () => 0, back: () => now - 1, next: () => now + 1, last: () => steps.length - 1};
const keys = {Home: "first", ArrowLeft: "back", ArrowRight: "next", End: "last"};
for (const id in jumps) element(id).addEventListener("click", () => show(jumps[id]()));
document.addEventListener("keydown", event => {
  if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  show(jumps[keys[event.key]]());
});
element("slider").addEventListener("input", event => show(+event.target.value));
element("smaller").addEventListener("click", () => scale(zoom / 1.25));
element("larger").addEventListener("click", () => scale(zoom * 1.25));
element("fit").addEventListener("click", () => scale(Math.min(fitting(), 1)));

for (const box of svg.querySelectorAll(".op")) {  // to the step of this operation: backward if we are on the way back
  const go = () => show(now > forward && +box.dataset.back || +box.dataset.step);
  box.setAttribute("tabindex", 0);
  box.setAttribute("role", "button");
  box.addEventListener("click", go);
  box.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); }
  });
}
svg.setAttribute("role", "group");
scale(Math.min(1, Math.max(fitting(), 0.75)));
show(0);
