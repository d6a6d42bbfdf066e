// Middle: all maps of a step, the activation above and its cotangent below, in the same places.

const layouts = new Map();  // of each canvas: where its maps are

function updateMaps() {
  const pane = document.querySelector("#maps"), step = currentStep(), values = shownValues();
  const what = step.kind === "images" ? "The picture" : step.kind === "loss" ? "What goes into the loss"
    : `${backward() ? "What goes into" : "What comes out of"} ${step.name}`;
  const [maps, height, width] = dataOf(values[0]).maps;
  const on = values.length > 1 ? ` on each of ${values.length} devices` : "";
  const size = height * width === 1 ? `${maps} numbers` : `${maps} maps of ${height} × ${width}`;
  pane.querySelector("h2").textContent = `${what}: ${size}${on}`;
  pane.querySelector(".says").textContent = TEXTS[step.kind][backward() ? "backward" : "forward"].says;
  pane.querySelector(".devices").replaceChildren(...(values.length > 1 ? values : []).map((_, d) =>
    h("button", {"aria-pressed": d === state.device, click: () => choose(d, state.unit)}, page.columns[d])));
  layouts.clear();
  const rows = Object.keys(SCALES).map(scale => mapsRow(scale, values));
  pane.querySelector(".pictures").replaceChildren(...rows);
  point(state.device, state.unit);
}

function mapsRow(scale, values) {
  const arrays = values.map(scale === "activation" ? dataOf : cotangentOf);
  const largest = Math.max(...arrays.map(array => largestOf(array.values)));
  const own = document.querySelector("#own").checked;
  const name = scale === "activation" ? "activation" : "cotangent: the gradient of the loss by it";
  const range = own ? "each map to its own largest" : `± ${format(largest)}`;
  const legend = h("p", {class: "legend"}, h("b", {}, name), " ", h("span", {class: `ramp ${scale}`}), " ", range);
  const room = document.querySelector("#maps .pictures").clientWidth || 320;
  const narrow = innerWidth <= 700, each = values.length > 1 && !narrow ? Math.floor((room - 10) / 2) : room;
  const canvases = arrays.map((array, d) => {
    const canvas = mapsCanvas(array, scale, own ? null : largest, Math.min(each, 560), d);
    canvas.classList.toggle("other", d !== state.device);
    return canvas;
  });
  return h("div", {class: "row"}, legend, h("div", {class: "side"}, canvases));
}

// As few maps beside each other as leave room for the activations and the cotangents on one screen.
function layoutOf([maps, height, width], room) {
  let across = height * width === 1 ? Math.floor(room / 25) : 1;  // single numbers in cells of 24 pixels at most
  const high = Math.max(room, (innerHeight - 330) / 2), cell = () => (room - across + 1) / across;
  while (across < maps && Math.ceil(maps / across) * (cell() * height / width + 1) > high) across++;
  const zoom = cell() / width;
  return {across, zoom, right: cell() + 1, down: zoom * height + 1};
}

function mapsCanvas(array, scale, largest, room, device) {
  const [maps, height, width] = array.maps, layout = layoutOf(array.maps, room), {across, zoom, right, down} = layout;
  const rows = Math.ceil(maps / across), sharp = Math.min(devicePixelRatio, 2);
  const style = `width: ${Math.round(room)}px; height: ${Math.round(rows * down)}px`;
  const canvas = h("canvas", {
    width: Math.round(room * sharp), height: Math.round(rows * down * sharp), style, "data-scale": scale,
    "data-device": device, role: "img", "aria-label": `${scale} of ${maps} maps, device ${device}`,
    click: event => { const unit = unitUnder(canvas, event); if (unit) choose(device, unit); },
    pointermove: event => { const unit = unitUnder(canvas, event); if (unit) point(device, unit); },
    pointerleave: () => point(state.device, state.unit),
  });
  layouts.set(canvas, {...layout, maps: array.maps});
  const context = canvas.getContext("2d");
  context.scale(sharp, sharp);
  context.imageSmoothingEnabled = zoom < 1;
  for (let map = 0; map < maps; map++) {
    const most = largest ?? largestOf(array.values.subarray(map * array.size, (map + 1) * array.size));
    const x = map % across * right, y = Math.floor(map / across) * down;
    if (array.size > 1) {
      context.drawImage(mapImage(array, map, scale, most), x, y, zoom * width, zoom * height);
    } else {
      context.fillStyle = css(color(scale, array.values[map], most));
      context.fillRect(x, y, zoom, zoom);
    }
  }
  if (device === state.device) markUnit(context, layout, width, height);
  return canvas;
}

function markUnit(context, {across, zoom, right, down}, width, height) {
  const [map, row, column] = state.unit, x = map % across * right, y = Math.floor(map / across) * down;
  context.strokeStyle = "#d00";
  context.lineWidth = 1;
  if (width * height > 1) context.strokeRect(x + 0.5, y + 0.5, zoom * width - 1, zoom * height - 1);
  context.lineWidth = 2;
  const side = Math.max(zoom, 4);
  context.strokeRect(x + column * zoom - 1, y + row * zoom - 1, side + 2, side + 2);
}

function unitUnder(canvas, event) {
  const {across, zoom, right, down, maps: [maps, height, width]} = layouts.get(canvas);
  const x = event.offsetX, y = event.offsetY;
  const map = Math.floor(x / right) + across * Math.floor(y / down);
  const column = Math.floor(x % right / zoom), row = Math.floor(y % down / zoom);
  return map < maps && column < width && row < height && Math.floor(x / right) < across ? [map, row, column] : null;
}

// The line below the maps: the unit under the pointer.
function point(device, unit) {
  const value = shownValues()[device];
  const text = `${unitName(unit, value)}: activation ${format(at(dataOf(value), unit))}, `
             + `cotangent ${format(at(cotangentOf(value), unit))}`;
  document.querySelector("#pointed").replaceChildren(text, " ", h("a", {href: "#unit"}, "its numbers"));
}

function unitName([map, row, column], value) {
  const vector = dataOf(value).shape.length === 1;
  if (vector) return currentStep().kind === "loss" ? `logit of ${page.classes[map]}` : `unit ${map}`;
  return `map ${map}, row ${row}, column ${column}`;
}
