// Fully connected: the largest terms of the sum. All weights would make the page many times as large.

VIEWS.fc = {forward: linearForward, backward: linearBackward};

// The terms of row n: [{number, weight, value, term}], and the sum of all others.
function largestTerms({numbers, weights, rest}, n, values) {
  const all = arrayOf(numbers), w = arrayOf(weights), most = all.shape[1];
  const terms = Array.from({length: most}, (_, i) => {
    const number = all.values[n * most + i], weight = w.values[n * most + i], value = values[number];
    return {number, weight, value, term: weight * value};
  });
  return {terms, rest: arrayOf(rest).values[n]};
}

function linearForward({unit: [k], x, y, part}) {
  const {terms, rest} = largestTerms(part.forward, k, x.values), bias = arrayOf(part.bias).values[k];
  const shown = sum(terms.map(({term}) => term));
  return [
    formula(`y = b + Σ over ${x.values.length} units below of w · x`),
    result(`b ${format(bias)} ${signed(shown)} (${terms.length} largest terms) ${signed(rest)} (all others)`,
           bias + shown + rest, y.values[k]),
    bars(`the ${terms.length} largest terms: w · x`, "activation", terms.map(({number, weight, value, term}) =>
      ({label: `unit ${number}`, x: term, text: `${format(weight)} · ${format(value)} = ${format(term)}`}))),
  ];
}

function linearBackward({unit: [c], dx, dy, part, y}) {
  const {terms, rest} = largestTerms(part.backward, c, dy.values), shown = sum(terms.map(({term}) => term));
  return [
    formula(`dx = Σ over ${y.values.length} units above of w · dy`),
    result(`${format(shown)} (${terms.length} largest terms) ${signed(rest)} (all others)`, shown + rest, dx.values[c]),
    bars(`the ${terms.length} largest terms: w · dy`, "cotangent", terms.map(({number, weight, value, term}) =>
      ({label: `unit ${number}`, x: term, text: `${format(weight)} · ${format(value)} = ${format(term)}`}))),
    note("Also dw[k,c] = dy[k] · x[c]: a weight learns where a cotangent above meets an activation below."),
  ];
}
