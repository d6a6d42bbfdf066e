// Elements, colors, maps of numbers as pictures, and small tables of numbers.

// An element: h("p", {class: "sum"}, "text", child)
function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "rect", "line", "text", "g", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter(child => child !== null));
  return element;
}

// A formula's text with its exponents raised: s^−β, e^x[c], x^(−β−1)
const EXPONENT = /\^(\([^)]*\)|[−\w.β]+(?:\[\w\])?)/;
const math = text => text.split(EXPONENT).map((part, i) => i % 2 ? h("sup", {}, part) : part);

// Two color scales, both white at 0. activation: blue above 0, orange below. cotangent: purple above, green below.
const SCALES = {
  activation: {above: [23, 78, 166], below: [204, 92, 0]},
  cotangent: {above: [123, 31, 140], below: [18, 120, 60]},
};

function color(scale, x, largest) {
  const share = largest > 0 ? Math.sqrt(Math.min(Math.abs(x) / largest, 1)) : 0;  // a root: small values show, too
  const end = x < 0 ? SCALES[scale].below : SCALES[scale].above;
  return end.map(channel => Math.round(255 + share * (channel - 255)));
}

const css = rgb => `rgb(${rgb.join(" ")})`;
const ink = rgb => rgb[0] * 0.3 + rgb[1] * 0.6 + rgb[2] * 0.1 < 140 ? "white" : "black";

function largestOf(values) {
  let largest = 0;
  for (const x of values) largest = Math.max(largest, Math.abs(x));
  return largest;
}

// An image of a pixel per color, on the one canvas that all of them are drawn on before they are enlarged.
const small = document.createElement("canvas");

function smallImage(width, height, colorOf) {
  Object.assign(small, {width, height});
  const context = small.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...colorOf(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
  return small;
}

function mapImage({maps: [, height, width], size, values}, map, scale, largest) {
  return smallImage(width, height, i => color(scale, values[map * size + i], largest));
}

// A map enlarged, with frames around some of its pixels: marks = [{row, column, height, width, color}]
function enlargedMap(array, map, scale, marks, label, most = 168) {
  const [, height, width] = array.maps, zoom = Math.max(1, Math.floor(most / Math.max(height, width)));
  const canvas = h("canvas", {width: width * zoom, height: height * zoom, role: "img", "aria-label": label});
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  const own = array.values.subarray(map * array.size, (map + 1) * array.size);
  context.drawImage(mapImage(array, map, scale, largestOf(own)), 0, 0, canvas.width, canvas.height);
  frame(context, marks, zoom);
  return figure(canvas, canvas.width, label);
}

function frame(context, marks, zoom) {
  for (const {row, column, height, width, color} of marks) {
    context.lineWidth = 2;
    context.strokeStyle = color;
    context.strokeRect(column * zoom + 1, row * zoom + 1, width * zoom - 2, height * zoom - 2);
  }
}

// The picture, with what a unit sees of it framed.
function pictureCanvas(field, side = 168) {
  const {values, shape: [size]} = arrayOf(page.pixels);
  const picture = smallImage(size, size, i => values.subarray(3 * i, 3 * i + 3));
  const canvas = h("canvas", {width: side, height: side, role: "img", "aria-label": "the picture"});
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, side, side);
  if (field) {
    context.fillStyle = "rgb(255 255 255 / 55%)";
    context.fillRect(0, 0, side, side);
    const [top, bottom, left, right] = field, zoom = side / size;
    const box = [left * zoom, top * zoom, (right - left + 1) * zoom, (bottom - top + 1) * zoom];
    context.drawImage(picture, left, top, right - left + 1, bottom - top + 1, ...box);
    frame(context, [{row: top, column: left, height: bottom - top + 1, width: right - left + 1, color: "#d00"}], zoom);
  }
  return canvas;
}

// A table of R x S numbers, colored; cell(r, s) = {x, title, mark}. Small ones show their numbers, with a power of ten
// taken out where they are small.
function grid(label, R, S, scale, cell) {
  const cells = Array.from({length: R}, (_, r) => Array.from({length: S}, (_, s) => cell(r, s)));
  const largest = largestOf(cells.flat().map(({x}) => x)), power = Math.floor(Math.log10(largest || 1));
  const shift = power < -1 || power > 2 ? power : 0, shows = S <= 5;
  const rows = cells.map(row => h("tr", {}, row.map(({x, title, mark}) => {
    const rgb = color(scale, x, largest), text = shows ? brief(x / 10 ** shift, largest / 10 ** shift) : "";
    const style = `background: ${css(rgb)}; color: ${ink(rgb)}`;
    return h("td", {style, title: title ?? format(x), class: mark ? "mark" : null}, text);
  })));
  const width = S * (shows ? 38 : 10), kind = shows ? "numbers" : "colors";
  const table = h("table", {class: `grid ${kind}`, style: `width: ${width}px`}, h("tbody", {}, rows));
  return figure(table, width, shows && shift ? `${label} (in 10^${String(shift).replace("-", "−")})` : label);
}

// A drawing with its caption, which is no wider.
const figure = (drawing, width, label) =>
  h("figure", {style: `width: ${Math.max(width, 112)}px`}, drawing, h("figcaption", {}, math(label)));

// A number for a narrow cell, with as many decimals as its neighbors need.
function brief(x, largest) {
  if (x === 0) return "0";
  return x.toFixed(largest >= 100 ? 0 : largest >= 10 ? 1 : 2).replace(/^-/, "−").replace("0.", ".");
}

// A row of bars, one per term: [{label, x, text, chosen, act}]
function bars(label, scale, terms) {
  const largest = largestOf(terms.map(term => term.x));
  const rows = terms.map(({label, x, text, chosen, act}) => {
    const width = `width: ${largest ? 100 * Math.abs(x) / largest : 0}%; background: ${css(color(scale, x, largest))}`;
    const name = act ? h("button", {click: act, "aria-pressed": Boolean(chosen)}, label) : label;
    return h("tr", {class: chosen ? "mark" : null}, h("th", {scope: "row"}, name),
             h("td", {class: "bar"}, h("div", {style: width})), h("td", {class: "number"}, math(text ?? format(x))));
  });
  return h("table", {class: "bars"}, h("caption", {}, math(label)), h("tbody", {}, rows));
}
