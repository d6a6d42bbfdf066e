// Max-pooling: the winner of a window; backward, the windows that a pixel has won.

VIEWS.pool = {forward: poolForward, backward: poolBackward};

function poolForward({unit: [map, p, q], x, y, part, settings: {kernel: [R, S], stride, padding}}) {
  const winner = at(arrayOf(part.winner), [map, p, q]);
  const row = p * stride[0] - padding[0], column = q * stride[1] - padding[1];
  const best = [map, row + Math.floor(winner / S), column + winner % S];
  return [
    formula("y = the largest of the window"),
    result(`x[${best.join(", ")}]`, at(x, best), at(y, [map, p, q])),
    h("div", {class: "grids"},
      grid("the window; its winner framed", R, S, "activation", (r, s) =>
        ({x: at(x, [map, row + r, column + s]), mark: r * S + s === winner})),
      enlargedMap(x, map, "activation", [{row, column, height: R, width: S, color: "#d00"}],
                  `map ${map} below, the window lit`, 130)),
    note(`Kept for backward: only the winner's number in the window, r · ${S} + s = ${winner}.`),
  ];
}

function poolBackward({unit: [map, row, column], x, dx, dy, part, settings}) {
  const [R, S] = settings.kernel, {stride, padding} = settings, winners = arrayOf(part.winner);
  const windows = windowsOver(row, column, settings, dy.maps);
  for (const window of windows) {
    window.won = at(winners, [map, window.p, window.q]) === window.r * S + window.s;
    window.sum = window.won ? at(dy, [map, window.p, window.q]) : 0;
  }
  const marks = windows.map(({p, q, won}) => ({row: p * stride[0] - padding[0], column: q * stride[1] - padding[1],
                                               height: R, width: S, color: won ? "#d00" : "#8888"}));
  const won = windows.filter(({won}) => won).length, total = sum(windows.map(({sum}) => sum));
  return [
    formula("dx = Σ of dy over the windows that it has won"),
    result(`${won} of ${windows.length} windows won`, total, at(dx, [map, row, column])),
    h("div", {class: "grids"}, accumulation(windows, "dx[c,h,v] += dy of each window, or 0"),
      enlargedMap(x, map, "activation", marks, "x: windows that it has won, red; lost, gray", 130)),
  ];
}
