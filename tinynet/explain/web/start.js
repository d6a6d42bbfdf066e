// Begins: data, panes, keys.

function render() {
  updateNetwork();
  updateMaps();
  updateUnit();
}

function onKey(event) {
  const slider = event.target.type === "range";
  if (event.ctrlKey || event.altKey || event.metaKey || slider && event.target.id !== "slider") return;
  const arrows = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};
  const move = arrows[event.key];
  if (move && event.shiftKey) moveUnit(...move);
  else if (move && move[1]) goTo(state.position + move[1]);
  else if (event.key === "," || event.key === ".") moveMap(event.key === "." ? 1 : -1);
  else return;
  event.preventDefault();
}

function precision() {
  const [size, off] = page.bytes > 1 ? ["2 bytes", "1/131,070"] : ["1 byte", "1/510"];
  return "Activations, weights and cotangents are tinynet's, recorded in one pass forward and one backward, in "
    + `evaluation mode. Each is stored in ${size}, and off by at most ${off} of the range of its map (gradients of `
    + "filters: 1 byte, 1/510). So a sum that this page adds up can differ from what was recorded in its last digits.";
}

async function start() {
  page = await unpack(document.querySelector("#data").textContent.trim());
  document.querySelector("#about").append(...Object.entries(page.about).map(([label, text]) =>
    h("span", {}, h("b", {}, label), ` ${text}`)));
  document.querySelector("#precision").textContent = precision();
  state.unit = mostTelling(shownValue());
  drawNetwork();
  drawBelow();
  render();
  document.querySelector("#slider").addEventListener("input", event => goTo(Number(event.target.value)));
  document.querySelector("#previous").addEventListener("click", () => goTo(state.position - 1));
  document.querySelector("#next").addEventListener("click", () => goTo(state.position + 1));
  document.querySelector("#own").addEventListener("change", updateMaps);
  addEventListener("keydown", onKey);
  addEventListener("resize", updateMaps);
  document.body.classList.add("ready");
}

start().catch(error => {
  const why = `This page cannot be shown: ${error.message}. It needs a browser of 2023 or later.`;
  document.querySelector("#about").textContent = why;
  throw error;
});
