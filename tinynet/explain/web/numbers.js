"use strict";
// From the page's data to numbers. An array is stored as whole numbers of one or two bytes:
//     value = scale * (number - zero),   with one scale and zero point per map

const bytesOf = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));

async function unpack(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// {shape, values: Float32Array, maps: [how many, height, width], size: of a map, error: the largest}
function decode({shape, bytes, scale, zero, data}) {
  const numbers = bytes === 1 ? bytesOf(data) : new Uint16Array(bytesOf(data).buffer);
  const scales = new Float32Array(bytesOf(scale).buffer), each = numbers.length / scales.length;
  const values = Float32Array.from(numbers, (n, i) => {
    const map = Math.floor(i / each);
    return scales[map] * (n - zero[map]);
  });
  const maps = shape.length === 3 ? shape : [numbers.length, 1, 1];
  return {shape, values, maps, size: maps[1] * maps[2], error: Math.max(...scales) / 2};
}

// A value of a map; 0 outside, as the padding is.
function at(array, [map, row, column]) {
  const [, height, width] = array.maps;
  const inside = row >= 0 && row < height && column >= 0 && column < width;
  return inside ? array.values[map * array.size + row * width + column] : 0;
}

let page;  // what Python wrote, see tinynet/explain/page.py
const decoded = new Map();

function arrayOf(number) {
  if (!decoded.has(number)) decoded.set(number, decode(page.arrays[number]));
  return decoded.get(number);
}

const dataOf = value => arrayOf(page.values[value].data);
const cotangentOf = value => arrayOf(page.values[value].cotangent);
const sum = numbers => numbers.reduce((total, x) => total + x, 0);

// Numbers on the page have as many digits as the bytes carry.
function format(x) {
  if (x === 0) return "0";
  const digits = page.bytes === 1 ? 3 : 4, size = Math.abs(x);
  const text = size < 0.001 || size >= 1e5 ? x.toExponential(digits - 1) : x.toPrecision(digits);
  return text.replace("e-", "e−").replace(/^-/, "−");
}

const signed = x => (x < 0 ? "− " : "+ ") + format(Math.abs(x));
