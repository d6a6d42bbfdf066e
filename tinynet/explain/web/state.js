// Where the reader is: a position of the slider, and a unit in the maps shown there.
//
// The positions are the steps forward, 0 to n - 1, then the same steps backward. Forward, a step shows its output,
// which it has just computed; backward its input, whose cotangent it has just computed.

const state = {position: 0, device: 0, unit: [0, 0, 0], channel: null, filter: null};

const backward = () => state.position >= page.steps.length;
const stepNumber = () => backward() ? 2 * page.steps.length - 1 - state.position : state.position;
const currentStep = () => page.steps[stepNumber()];

// The values whose maps are shown, one per device. The loss is one number: there, the logits.
const shownValues = () => backward() || currentStep().kind === "loss" ? currentStep().inputs : currentStep().outputs;
const shownValue = () => shownValues()[state.device];

function goTo(position) {
  const before = dataOf(shownValue()).maps.join();
  state.position = Math.max(0, Math.min(position, 2 * page.steps.length - 1));
  state.device = Math.min(state.device, shownValues().length - 1);
  if (dataOf(shownValue()).maps.join() !== before) state.unit = mostTelling(shownValue());
  state.channel = state.filter = null;
  render();
}

function choose(device, unit) {
  Object.assign(state, {device, unit, channel: null, filter: null});
  render();
}

// The unit to begin with: forward the largest activation, backward the largest cotangent, of either sign; of the logits
// that of the class that was asked about.
function mostTelling(value) {
  const {values, size, maps} = backward() ? cotangentOf(value) : dataOf(value);
  if (currentStep().kind === "loss") return [page.target, 0, 0];
  const rank = backward() ? Math.abs : x => x;
  let best = 0;
  values.forEach((x, i) => { if (rank(x) > rank(values[best])) best = i; });
  return [Math.floor(best / size), Math.floor(best % size / maps[2]), best % maps[2]];
}

function moveUnit(rows, columns) {
  const [map, row, column] = state.unit, [maps, height, width] = dataOf(shownValue()).maps;
  const within = (x, size) => Math.max(0, Math.min(x, size - 1));
  if (height * width === 1) choose(state.device, [within(map + rows + columns, maps), 0, 0]);
  else choose(state.device, [map, within(row + rows, height), within(column + columns, width)]);
}

function moveMap(by) {
  const [map, ...place] = state.unit, [maps] = dataOf(shownValue()).maps;
  choose(state.device, [(map + by + maps) % maps, ...place]);
}

// What a unit sees of the picture: [top, bottom, left, right], the rows and columns of the picture, both ends included.
// last: the last step on the way to the value.
function receptiveField(last, [map, row, column]) {
  let field = [row, row, column, column], index = map;  // index: of a unit in a vector; null: all of them
  for (let i = last; i > 0; i--) {
    const {kind, settings, inputs} = page.steps[i], [maps, height, width] = dataOf(inputs[0]).maps;
    const vector = dataOf(inputs[0]).shape.length === 1;
    if (kind === "fc" || kind === "loss") index = null;
    else if (vector && index !== null && index >= maps) index %= maps;  // after a gather, from the second device
    else if (kind === "flatten" && index === null) field = [0, height - 1, 0, width - 1];
    else if (kind === "flatten") {
      const place = index % (height * width);
      field = [Math.floor(place / width), Math.floor(place / width), place % width, place % width];
    } else if (kind === "conv" || kind === "pool") {
      const [[R, S], [down, across], [top, left]] = [settings.kernel, settings.stride, settings.padding];
      field = [Math.max(field[0] * down - top, 0), Math.min(field[1] * down - top + R - 1, height - 1),
               Math.max(field[2] * across - left, 0), Math.min(field[3] * across - left + S - 1, width - 1)];
    }
  }
  return field;
}
