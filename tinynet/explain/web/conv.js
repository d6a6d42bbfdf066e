// Convolution: the window times the filter, as one column of im2col; backward, the += of col2im.

VIEWS.conv = {forward: convForward, backward: convBackward};

function filterOf({settings, part, y}, k) {
  const weight = arrayOf(part.weight), dweight = arrayOf(part.dweight), [K, C, R, S] = weight.shape;
  const first = Math.floor(k / (K / settings.groups)) * C;  // the first of the channels that filter k sees
  const place = (c, r, s) => ((k * C + c - first) * R + r) * S + s;
  return {K, C, R, S, first, w: (c, r, s) => weight.values[place(c, r, s)], dw: (c, r, s) => dweight.values[place(c, r, s)]};
}

function convForward(context) {
  const {unit: [k, p, q], x, y, part, settings: {stride, padding}} = context;
  const {C, R, S, first, w} = filterOf(context, k), bias = arrayOf(part.bias).values[k];
  const pixel = (r, s) => [p * stride[0] + r - padding[0], q * stride[1] + s - padding[1]];
  const input = (c, r, s) => at(x, [c, ...pixel(r, s)]);
  const sums = Array.from({length: C}, (_, i) => {
    let total = 0;
    for (let r = 0; r < R; r++) for (let s = 0; s < S; s++) total += w(first + i, r, s) * input(first + i, r, s);
    return {channel: first + i, total};
  });
  const sorted = sums.toSorted((a, b) => Math.abs(b.total) - Math.abs(a.total));
  const c = state.channel ?? sorted[0].channel, own = sums[c - first].total;
  const term = (r, s) => `x ${format(input(c, r, s))} · w ${format(w(c, r, s))} = ${format(input(c, r, s) * w(c, r, s))}`;
  const table = (label, scale, f) => grid(label, R, S, scale, (r, s) => ({x: f(r, s), title: term(r, s)}));
  const [top, left] = pixel(0, 0), total = bias + sum(sums.map(({total}) => total));
  const window = {row: top, column: left, height: R, width: S, color: "#d00"};
  return [
    formula(`y = b + the sums over ${C} maps of ${R} × ${S} products`),
    result(`${format(bias)} ${signed(total - bias)}`, total, at(y, [k, p, q])),
    channelPicker(c, first, C, "map below"),
    h("div", {class: "grids"},
      table("window x", "activation", (r, s) => input(c, r, s)),
      table("· filter w", "activation", (r, s) => w(c, r, s)),
      table(`= products, sum ${format(own)}`, "activation", (r, s) => input(c, r, s) * w(c, r, s))),
    bars("the maps below that count most", "activation", sorted.slice(0, 6).map(({channel, total}) =>
      ({label: `map ${channel}`, x: total, chosen: channel === c, act: () => pickChannel(channel)}))),
    h("h3", {}, "The window is one column of im2col"),
    h("div", {class: "grids"}, enlargedMap(x, c, "activation", [window], `map ${c} below, the window lit`, 130),
      columnsOf(input, c, first, context, p, q)),
  ];
}

function channelPicker(c, first, count, label) {
  const input = h("input", {type: "range", min: first, max: first + count - 1, value: c, "aria-label": label,
                            change: event => pickChannel(Number(event.target.value))});
  return h("label", {class: "picker"}, `${label}: ${c} `, input);
}

function pickChannel(channel) {
  state.channel = channel;
  updateUnit();
}

// The rows of im2col that belong to channel c, with the column of window (p, q) lit. A click chooses another window.
function columnsOf(_, c, first, {x, y, settings: {kernel: [R, S], stride, padding}, step, unit: [k], device}, p, q) {
  const [, P, Q] = y.maps, largest = largestOf(x.values.subarray(c * x.size, (c + 1) * x.size));
  const small = h("canvas", {width: P * Q, height: R * S}), image = small.getContext("2d").createImageData(P * Q, R * S);
  for (let row = 0; row < R * S; row++) {
    for (let column = 0; column < P * Q; column++) {
      const h = Math.floor(column / Q) * stride[0] + Math.floor(row / S) - padding[0];
      const v = column % Q * stride[1] + row % S - padding[1];
      image.data.set([...color("activation", at(x, [c, h, v]), largest), 255], 4 * (row * P * Q + column));
    }
  }
  small.getContext("2d").putImageData(image, 0, 0);
  const wide = Math.max(1, Math.floor(340 / (P * Q))), high = Math.max(1, Math.min(12, Math.floor(120 / (R * S))));
  const canvas = h("canvas", {
    width: P * Q * wide, height: R * S * high, class: "columns", role: "img", "aria-label": "im2col of this map",
    click: event => {
      const column = Math.floor(event.offsetX / event.target.clientWidth * P * Q);
      choose(device, [k, Math.floor(column / Q), column % Q]);
    },
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#d00";
  context.lineWidth = 2;
  context.strokeRect((p * Q + q) * wide - 1, 1, wide + 2, canvas.height - 2);
  const rows = `${R * S} of ${R * S * filterOf({settings: step.settings, part: step.parts[device], y}, k).C} rows`;
  return figure(canvas, canvas.width,
    `cols = im2col(x): ${rows}, those of map ${c}; ${P * Q} columns, one per window. Column ${p * Q + q} is this window, `
    + "row after row. y[k] = w[k] @ cols + b[k]: the filter times every column at once.");
}

// The windows (p, q) that cover pixel (h, v), and as which of their pixels (r, s).
function windowsOver(h, v, {kernel: [R, S], stride, padding}, [, P, Q]) {
  const found = [];
  for (let p = 0; p < P; p++) {
    const r = h + padding[0] - p * stride[0];
    if (r < 0 || r >= R) continue;
    for (let q = 0; q < Q; q++) {
      const s = v + padding[1] - q * stride[1];
      if (s >= 0 && s < S) found.push({p, q, r, s});
    }
  }
  return found;
}

function convBackward(context) {
  const {unit: [c, row, column], x, dx, dy, settings} = context, {K, C} = filterOf(context, 0), [R, S] = settings.kernel;
  const each = K / settings.groups, from = Math.floor(c / C) * each;  // the filters that see channel c
  const windows = windowsOver(row, column, settings, dy.maps), byFilter = new Array(each).fill(0);
  for (const window of windows) {
    window.sum = 0;
    for (let i = 0; i < each; i++) {
      const term = filterOf(context, from + i).w(c, window.r, window.s) * at(dy, [from + i, window.p, window.q]);
      window.sum += term;
      byFilter[i] += term;
    }
  }
  const total = sum(windows.map(window => window.sum)), stride = settings.stride, padding = settings.padding;
  const marks = windows.map(({p, q}) => ({row: p * stride[0] - padding[0], column: q * stride[1] - padding[1],
                                          height: R, width: S, color: "#d0000066"}));
  const pixel = {row, column, height: 1, width: 1, color: "#d00"};
  return [
    formula(`dx = Σ over ${windows.length} windows of Σ over ${each} filters of w · dy`),
    result("the sum of the += below", total, at(dx, [c, row, column])),
    h("div", {class: "grids"}, accumulation(windows, "dx[c,h,v] += dcols of each window"),
      enlargedMap(dx, c, "cotangent", [...marks, pixel], `dx of map ${c}, and the windows over this pixel`, 130)),
    note("With stride 1, tinynet may correlate dy with the filters rotated by 180°: the same terms in another order."),
    ...filterGradient(context, c, from, byFilter),
  ];
}

// dx += ..., once per window, laid out as the windows lie.
function accumulation(windows, label) {
  if (!windows.length) return note("No window covers this pixel: its cotangent is 0.");
  const rows = [...new Set(windows.map(({p}) => p))], columns = [...new Set(windows.map(({q}) => q))];
  const find = (i, j) => windows.find(({p, q}) => p === rows[i] && q === columns[j]);
  return grid(label, rows.length, columns.length, "cotangent", (i, j) => {
    const {p, q, r, s, sum} = find(i, j);
    return {x: sum, title: `window (${p}, ${q}), in which it is pixel (${r}, ${s}): += ${format(sum)}`};
  });
}

function filterGradient(context, c, from, byFilter) {
  const strongest = byFilter.reduce((best, x, i) => Math.abs(x) > Math.abs(byFilter[best]) ? i : best, 0);
  const k = state.filter ?? from + strongest, {R, S, w, dw} = filterOf(context, k);
  const sorted = byFilter.map((x, i) => ({k: from + i, x})).toSorted((a, b) => Math.abs(b.x) - Math.abs(a.x));
  const pick = filter => { state.filter = filter; updateUnit(); };
  return [
    bars("the filters that send most", "cotangent", sorted.slice(0, 6).map(({k: filter, x}) =>
      ({label: `filter ${filter}`, x, chosen: filter === k, act: () => pick(filter)}))),
    h("h3", {}, `What filter ${k} would learn from this picture`),
    note("dw[k,c,r,s] = Σ dy[k,p,q] · x[c,h,v] over all windows: dw = dy @ cols.T. An update takes a small step against it."),
    h("div", {class: "grids"},
      grid(`w of filter ${k}, map ${c}`, R, S, "activation", (r, s) => ({x: w(c, r, s)})),
      grid("its gradient dw", R, S, "cotangent", (r, s) => ({x: dw(c, r, s)}))),
  ];
}
