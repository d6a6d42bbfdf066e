// Softmax and cross-entropy, as bars.

VIEWS.loss = {
  forward: ({unit: [n], x, y}) => {
    const powers = Array.from(x.values, score => Math.exp(score)), total = sum(powers);
    return [
      formula(`p of ${page.classes[n]} = e^${format(x.values[n])} / Σ e^x = ${format(powers[n])} / ${format(total)}`),
      result(`p`, powers[n] / total, page.probabilities[n]),
      formula(`L = −log p of ${page.classes[page.target]} = −log ${format(page.probabilities[page.target])}`),
      result("L", Math.log(total) - x.values[page.target], page.loss),
      bars("logit, and its share of the probability", "activation", likely(n).map(c => ({
        label: page.classes[c], x: page.probabilities[c], chosen: c === n, act: () => choose(0, [c, 0, 0]),
        text: `${format(page.logits[c])}: ${percent(page.probabilities[c])}`,
      }))),
    ];
  },
  backward: ({unit: [n], dx}) => {
    const hit = Number(n === page.target), p = page.probabilities[n];
    return [
      formula(`dx of ${page.classes[n]} = p − [is it ${page.classes[page.target]}?]`),
      result(`${format(p)} − ${hit}`, p - hit, dx.values[n]),
      bars("what the network said, minus what was asked for", "cotangent", likely(n).map(c => ({
        label: page.classes[c], x: dx.values[c], chosen: c === n, act: () => choose(0, [c, 0, 0]),
      }))),
      note("They add up to 0: what one class is to lose, the others are to win."),
      sureNote(),
    ];
  },
};

// Where p rounds to 1, p − 1 is 0 or next to it, and so is every gradient behind it.
const sureNote = () => page.loss < 0.001
  ? note(`The network is sure of ${page.classes[page.target]}: there is next to nothing to learn, and all gradients `
         + "are tiny. With --target, another class is asked for, and they are not.")
  : null;

const percent = p => `${(100 * p).toFixed(p < 0.001 ? 3 : 1)} %`;

// The classes to show: up to 12 of the likeliest, and always the chosen one and the target.
function likely(n, most = 12) {
  const order = page.classes.map((_, c) => c).sort((a, b) => page.probabilities[b] - page.probabilities[a]);
  const first = order.slice(0, most);
  for (const c of [page.target, n]) if (!first.includes(c)) first.push(c);
  return first;
}
