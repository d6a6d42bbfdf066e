// Local response normalization: the neighbors that damp a unit; backward, those that it damps.

VIEWS.lrn = {forward: lrnForward, backward: lrnBackward};

// The maps j of this device in the window around map i, with x and s of each at one pixel.
function neighborsOf(i, place, x, {size, alpha, k}) {
  const half = Math.floor(size / 2), all = Array.from({length: x.maps[0]}, (_, j) => j);
  const around = j => all.slice(Math.max(j - half, 0), j + half + 1);
  const value = j => at(x, [j, ...place]);
  return around(i).map(j => ({j, x: value(j), s: k + alpha / size * sum(around(j).map(m => value(m) ** 2))}));
}

function lrnForward({unit: [i, ...place], x, y, settings}) {
  const {size, alpha, beta, k} = settings, near = neighborsOf(i, place, x, settings);
  const {x: own, s} = near.find(({j}) => j === i), squares = sum(near.map(({x}) => x ** 2));
  return [
    formula(`s = k + α/n · Σ x² = ${k} + ${alpha}/${size} · ${format(squares)} = ${format(s)}`),
    result(`y = x · s^−β = ${format(own)} · ${format(s)}^−${beta}`, own * s ** -beta, at(y, [i, ...place])),
    bars("x² of the maps around it, at the same pixel", "activation", near.map(({j, x}) =>
      ({label: `map ${j}`, x: x ** 2, text: `${format(x)}² = ${format(x ** 2)}`, chosen: j === i}))),
    note(`It keeps ${(100 * s ** -beta).toFixed(2)} % of its size; without any neighbors, k alone would leave it `
         + `${(100 * k ** -beta).toFixed(2)} %.`),
  ];
}

function lrnBackward({unit: [i, ...place], x, dx, dy, settings}) {
  const {size, alpha, beta} = settings, near = neighborsOf(i, place, x, settings);
  const slope = j => at(dy, [j, ...place]), {x: own, s} = near.find(({j}) => j === i);
  const terms = near.map(({j, x, s}) => ({j, term: -2 * alpha * beta / size * own * slope(j) * x * s ** (-beta - 1)}));
  const direct = slope(i) * s ** -beta, through = sum(terms.map(({term}) => term));
  return [
    formula(`directly: dy · s^−β = ${format(slope(i))} · ${format(s)}^−${beta} = ${format(direct)}`),
    result(`dx = ${format(direct)} ${signed(through)}`, direct + through, at(dx, [i, ...place])),
    bars("through the sums s of its neighbors: −2αβ/n · x[i] · dy[j] · x[j] · s[j]^(−β−1)", "cotangent",
         terms.map(({j, term}) => ({label: `map ${j}`, x: term, chosen: j === i}))),
  ];
}
