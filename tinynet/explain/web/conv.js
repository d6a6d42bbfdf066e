// Convolution, forward: the window times the filter, which is one column of im2col.

VIEWS.conv = {forward: convForward, backward: convBackward};

// Filter k of this device and its gradient, as functions of (map below, r, s).
function filterOf({part}, k) {
  const weight = arrayOf(part.weight), dweight = arrayOf(part.dweight), [K, C, R, S] = weight.shape;
  const place = (c, r, s) => ((k * C + c) * R + r) * S + s;
  return {K, C, R, S, w: (...crs) => weight.values[place(...crs)], dw: (...crs) => dweight.values[place(...crs)]};
}

function convForward(context) {
  const {unit: [k, p, q], x, y, part, settings: {stride, padding}} = context;
  const {K, C, R, S, w} = filterOf(context, k), bias = arrayOf(part.bias).values[k];
  const top = p * stride[0] - padding[0], left = q * stride[1] - padding[1];
  const input = (c, r, s) => at(x, [c, top + r, left + s]), product = (c, r, s) => input(c, r, s) * w(c, r, s);
  const places = Array.from({length: R * S}, (_, i) => [Math.floor(i / S), i % S]);
  const sums = Array.from({length: C}, (_, channel) =>
    ({channel, sum: sum(places.map(([r, s]) => product(channel, r, s)))}));
  const sorted = sums.toSorted((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const c = state.channel ?? sorted[0].channel, all = sum(sums.map(({sum}) => sum));
  const title = (r, s) => `x ${format(input(c, r, s))} · w ${format(w(c, r, s))} = ${format(product(c, r, s))}`;
  const table = (label, f) => grid(label, R, S, "activation", (r, s) => ({x: f(c, r, s), title: title(r, s)}));
  const window = {row: top, column: left, height: R, width: S, color: "#d00"};
  return [
    formula(`y = b + the sums over ${C} maps of ${R} × ${S} products`),
    result(`${format(bias)} ${signed(all)}`, bias + all, at(y, [k, p, q])),
    channelPicker(c, C),
    h("div", {class: "grids"}, table("window x", input), table("· filter w", w),
      table(`= products, sum ${format(sums[c].sum)}`, product)),
    bars("the maps below that count most", "activation", sorted.slice(0, 6).map(({channel, sum}) =>
      ({label: `map ${channel}`, x: sum, chosen: channel === c, act: () => pickChannel(channel)}))),
    h("h3", {}, "The window is one column of im2col"),
    h("div", {class: "grids"}, enlargedMap(x, c, "activation", [window], `map ${c} below, the window lit`, 130),
      im2colPicture(context, c)),
    note(`One row of w for each filter, one column of cols for each window: y = w @ cols + b is `
      + `(${K}, ${C * R * S}) @ (${C * R * S}, ${y.size}), all units of this device at once.`),
  ];
}

function channelPicker(c, count) {
  const change = event => pickChannel(Number(event.target.value));
  const input = h("input", {type: "range", min: 0, max: count - 1, value: c, "aria-label": "map below", change});
  return h("label", {class: "picker"}, `map below: ${c} `, input);
}

function pickChannel(channel) {
  state.channel = channel;
  updateUnit();
}

// The rows of im2col that belong to channel c, with the column of the chosen window lit. A click chooses another.
function im2colPicture({x, y, unit: [k, p, q], device, settings: {kernel: [R, S], stride, padding}}, c) {
  const Q = y.maps[2], rows = R * S, columns = y.size, number = p * Q + q;
  const numbers = {maps: [1, rows, columns], size: rows * columns, values: new Float32Array(rows * columns)};
  for (let i = 0; i < rows * columns; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const pixel = [Math.floor(column / Q) * stride[0] + Math.floor(row / S) - padding[0],
                   column % Q * stride[1] + row % S - padding[1]];
    numbers.values[i] = at(x, [c, ...pixel]);
  }
  const wide = Math.max(1, Math.floor(340 / columns)), high = Math.max(1, Math.min(12, Math.floor(120 / rows)));
  const canvas = h("canvas", {
    width: columns * wide, height: rows * high, class: "columns", role: "img", "aria-label": "im2col of this map",
    click: event => {
      const column = Math.floor(event.offsetX / event.target.clientWidth * columns);
      choose(device, [k, Math.floor(column / Q), column % Q]);
    },
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(mapImage(numbers, 0, "activation", largestOf(numbers.values)), 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#d00";
  context.lineWidth = 2;
  context.strokeRect(number * wide - 1, 1, wide + 2, canvas.height - 2);
  return figure(canvas, canvas.width, `cols = im2col(x): the ${rows} rows of map ${c}, and ${columns} columns, one per `
    + `window. Column ${number} is this window, one row of it after the other.`);
}
