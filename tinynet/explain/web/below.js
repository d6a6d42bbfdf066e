// Below the panes: the verdict, the saliency of the chosen class, and the nearest training images.

function drawBelow() {
  const target = page.classes[page.target];
  document.querySelector("#below").replaceChildren(
    h("div", {class: "card"}, h("h2", {}, "What the network says"), pictureCanvas(null, 224), topFive(),
      h("p", {}, "Loss for ", h("b", {}, target), ": ", h("data", {id: "loss", value: page.loss}, format(page.loss))),
      sureNote()),
    h("div", {class: "card"}, h("h2", {}, `Saliency of ${target}`), saliencyCanvas(),
      note("How much the score of this class moves with each pixel: the largest |d score / d pixel| of its three "
        + "colors, from a backward pass that began at the score itself. Bright pixels matter most.")),
    h("div", {class: "card"}, h("h2", {}, "Nearest training images"), nearestImages(),
      h("p", {class: "note"}, page.note)),
  );
}

function topFive() {
  const order = likely(page.target).slice(0, 5);
  return bars("top 5", "activation", order.map(c => {
    const p = page.probabilities[c];
    return {label: page.classes[c], x: p, text: percent(p), chosen: c === page.target};
  }));
}

function saliencyCanvas(side = 224) {
  const {values, shape: [size]} = arrayOf(page.saliency), pixels = arrayOf(page.pixels).values;
  const largest = largestOf(values) || 1;
  const image = smallImage(size, size, i => {
    const share = (values[i] / largest) ** 0.6, gray = 0.1 * sum(pixels.subarray(3 * i, 3 * i + 3));
    return [gray + share * 190, gray + share * 160, gray + share * 20];
  });
  const canvas = h("canvas", {width: side, height: side, role: "img", "aria-label": "saliency"});
  canvas.getContext("2d").drawImage(image, 0, 0, side, side);
  return canvas;
}

function nearestImages() {
  return h("div", {class: "nearest"}, (page.nearest ?? []).map(({src, name}) =>
    h("figure", {}, h("img", {src, alt: `training image of ${name}`}), h("figcaption", {}, name))));
}
