// Convolution, backward: the += of col2im, and what a filter would learn.

function convBackward(context) {
  const {unit: [c, row, column], x, dx, dy, settings} = context, {kernel: [R, S], stride, padding} = settings;
  const {K} = filterOf(context, 0);
  const filters = Array.from({length: K}, (_, k) => ({k, sum: 0, w: filterOf(context, k).w}));
  const windows = windowsOver(row, column, settings, dy.maps).map(window => ({...window, sum: 0}));
  for (const filter of filters) {
    for (const window of windows) {
      const term = filter.w(c, window.r, window.s) * at(dy, [filter.k, window.p, window.q]);
      window.sum += term;
      filter.sum += term;
    }
  }
  const frames = windows.map(({p, q}) => ({row: p * stride[0] - padding[0], column: q * stride[1] - padding[1],
                                           height: R, width: S, color: "#d0000066"}));
  const pixel = {row, column, height: 1, width: 1, color: "#d00"};
  return [
    formula(`dx = Σ over ${windows.length} windows of Σ over ${K} filters of w · dy`),
    result("the sum of the += below", sum(windows.map(({sum}) => sum)), at(dx, [c, row, column])),
    h("div", {class: "grids"}, accumulation(windows, "dx[c,h,v] += dcols of each window"),
      enlargedMap(dx, c, "cotangent", [...frames, pixel], `dx of map ${c}, and the windows over this pixel`, 130)),
    note("With stride 1, tinynet may correlate dy with the filters rotated by 180°: the same terms in another order."),
    ...filterGradient(context, c, filters),
  ];
}

// The windows (p, q) that cover pixel (h, v), and as which of their pixels (r, s).
function windowsOver(h, v, {kernel: [R, S], stride, padding}, [, P, Q]) {
  const found = [];
  for (let p = 0; p < P; p++) {
    for (let q = 0; q < Q; q++) {
      const r = h + padding[0] - p * stride[0], s = v + padding[1] - q * stride[1];
      if (r >= 0 && r < R && s >= 0 && s < S) found.push({p, q, r, s});
    }
  }
  return found;
}

// dx += ..., once per window, laid out as the windows lie.
function accumulation(windows, label) {
  if (!windows.length) return note("No window covers this pixel: its cotangent is 0.");
  const rows = [...new Set(windows.map(({p}) => p))], columns = [...new Set(windows.map(({q}) => q))];
  return grid(label, rows.length, columns.length, "cotangent", (i, j) => {
    const {p, q, r, s, sum} = windows.find(({p, q}) => p === rows[i] && q === columns[j]);
    return {x: sum, title: `window (${p}, ${q}), in which it is pixel (${r}, ${s}): += ${format(sum)}`};
  });
}

function filterGradient(context, c, filters) {
  const sorted = filters.toSorted((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const chosen = state.filter ?? sorted[0].k, {R, S, w, dw} = filterOf(context, chosen);
  const pick = k => { state.filter = k; updateUnit(); };
  return [
    bars("the filters that send most", "cotangent", sorted.slice(0, 6).map(({k, sum}) =>
      ({label: `filter ${k}`, x: sum, chosen: k === chosen, act: () => pick(k)}))),
    h("h3", {}, `What filter ${chosen} would learn from this picture`),
    note("dw[k,c,r,s] = Σ dy[k,p,q] · x[c,h,v] over all windows: dw = dy @ cols.T. "
      + "An update takes a small step against it."),
    h("div", {class: "grids"},
      grid(`w of filter ${chosen}, map ${c}`, R, S, "activation", (r, s) => ({x: w(c, r, s)})),
      grid("its gradient dw", R, S, "cotangent", (r, s) => ({x: dw(c, r, s)}))),
  ];
}
