// Right: the chosen unit, with the numbers that it was computed from.
//
// VIEWS[kind].forward and .backward return elements. They are given the unit, the layer's input x and output y with
// their cotangents dx and dy (on this device), the step's settings, and this device's part of them.

const VIEWS = {};

function updateUnit() {
  const step = currentStep(), device = state.device, way = backward() ? "backward" : "forward";
  const own = values => values[Math.min(device, values.length - 1)];
  const context = {
    step, device, unit: state.unit, settings: step.settings, part: step.parts[device] ?? null,
    x: dataOf(own(step.inputs)), dx: cotangentOf(own(step.inputs)),
    y: dataOf(own(step.outputs)), dy: cotangentOf(own(step.outputs)),
  };
  const pane = document.querySelector("#unit"), value = shownValue();
  pane.replaceChildren(
    h("h2", {}, unitName(state.unit, value), shownValues().length > 1 ? ` (device ${device})` : ""),
    h("p", {class: "both"}, `activation ${format(at(dataOf(value), state.unit))}, `,
      `cotangent ${format(at(cotangentOf(value), state.unit))}`),
    ...VIEWS[step.kind][way](context).filter(Boolean),
    inThePicture(),
    sourceOf(step.kind, way),
  );
  const code = pane.querySelector("pre"), line = pane.querySelector(".marked");
  code.scrollTop = line.offsetTop - code.offsetTop - code.clientHeight / 2;
}

// "sum = 0.123": what the terms shown add up to, beside what the engine recorded.
function result(terms, computed, recorded) {
  return h("p", {class: "result"},
    math(terms), " = ", h("data", {class: "computed", value: computed}, format(computed)), h("br"),
    "recorded by tinynet: ", h("data", {class: "recorded", value: recorded}, format(recorded)));
}

const formula = text => h("p", {class: "formula"}, math(text));
const note = text => h("p", {class: "note"}, math(text));

function inThePicture() {
  const step = currentStep(), last = stepNumber() - (backward() || step.kind === "loss" ? 1 : 0);
  const [top, bottom, left, right] = receptiveField(last, state.unit);
  const text = `What it sees of the picture: rows ${top} to ${bottom}, columns ${left} to ${right}`;
  return h("figure", {class: "sees"}, pictureCanvas([top, bottom, left, right]), h("figcaption", {}, text));
}

function sourceOf(kind, way) {
  const {file, first, marked, text} = page.sources[kind][way];
  const lines = text.split("\n").map((line, i) =>
    h("span", {class: first + i === marked ? "line marked" : "line"}, `${line}\n`));
  return h("details", {open: ""}, h("summary", {}, `${file}, line ${marked}`), h("pre", {}, lines));
}
