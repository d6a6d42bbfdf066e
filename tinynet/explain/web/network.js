// Left: the network as the columns of figure 2, one per device. Above: the slider.

const ROW = 25, BOX = 120, GAP = 12;

function drawNetwork() {
  const width = 2 * BOX + GAP, height = page.steps.length * ROW + 16;
  const svg = h("svg", {viewBox: `0 0 ${width} ${height}`, role: "list"});
  page.columns.forEach((name, d) => svg.append(h("text", {x: d * (BOX + GAP) + 2, y: 10, class: "device"}, name)));
  page.steps.forEach((step, i) => {
    const y = 16 + i * ROW, from = step.inputs.length, to = step.outputs.length;
    const middle = d => d * (BOX + GAP) + BOX / 2;
    for (let a = 0; a < from && i; a++) {
      for (let b = 0; b < to; b++) {
        if (a !== b && !step.kind.endsWith("gather")) continue;
        svg.append(h("line", {x1: middle(a), y1: y - 9, x2: middle(b), y2: y, class: a === b ? null : "cross"}));
      }
    }
    for (let d = 0; d < to; d++) svg.append(networkBox(step, i, d, y));
  });
  document.querySelector("#network .scroll").replaceChildren(svg);
}

function networkBox(step, i, d, y) {
  const shape = dataOf(step.outputs[d]).shape.join("×") || "1", x = d * (BOX + GAP);
  const exchange = step.kind.endsWith("gather") || step.kind === "images";
  const box = h("g", {
    class: exchange ? "box exchange" : "box", "data-step": i, "data-device": d, role: "listitem",
    click: () => { state.device = d; goTo(backward() ? 2 * page.steps.length - 1 - i : i); },
  });
  const name = step.kind === "loss" ? "cross-entropy" : exchange ? step.kind : step.name;
  box.append(h("rect", {x, y, width: BOX, height: ROW - 9, rx: 3}), h("text", {x: x + 4, y: y + 11.5}, name),
             h("text", {x: x + BOX - 4, y: y + 11.5, class: "shape"}, step.kind === "loss" ? "" : shape));
  return box;
}

function updateNetwork() {
  const here = stepNumber();
  for (const box of document.querySelectorAll("#network .box")) {
    const i = Number(box.dataset.step), chosen = i === here;
    box.classList.toggle("here", chosen);
    box.classList.toggle("chosen", chosen && Number(box.dataset.device) === state.device);
    box.classList.toggle("done", backward() ? i > here : i < here);
    if (chosen && box.dataset.device === "0") scrollIntoPane(box);
  }
  document.body.classList.toggle("backward", backward());
  const slider = document.querySelector("#slider"), n = page.steps.length;
  slider.max = 2 * n - 1;
  slider.value = state.position;
  const way = backward() ? `backward ${state.position - n + 1} of ${n}` : `forward ${state.position + 1} of ${n}`;
  slider.setAttribute("aria-valuetext", `${way}: ${currentStep().name}`);
  const formula = TEXTS[currentStep().kind][backward() ? "backward" : "forward"].formula;
  document.querySelector("#where").replaceChildren(
    h("b", {}, `${way}: ${currentStep().name}`), h("span", {class: "formula"}, math(formula)));
}

function scrollIntoPane(box) {
  const pane = document.querySelector("#network .scroll"), top = box.getBoundingClientRect().top;
  pane.scrollTop += top - pane.getBoundingClientRect().top - pane.clientHeight / 2;
}
