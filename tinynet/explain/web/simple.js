// The steps whose units have one term or two: ReLU, dropout, flatten, and what moves between devices.

VIEWS.relu = {
  forward: ({unit, x, y}) => [result(`max(${format(at(x, unit))}, 0)`, Math.max(at(x, unit), 0), at(y, unit))],
  backward: ({unit, y, dx, dy}) => {
    const open = at(y, unit) > 0, slope = at(dy, unit);
    return [
      formula(open ? "y > 0: the gate is open, dx = dy" : "y = 0: the gate is closed, dx = 0"),
      result(`${format(slope)} · ${open ? 1 : 0}`, open ? slope : 0, at(dx, unit)),
    ];
  },
};

VIEWS.dropout = {
  forward: ({unit: [n], x, y, part, settings: {p, factor}}) => {
    const before = x.values[n], m = arrayOf(part.mask).values[n];
    return [
      formula(factor === 1 ? "evaluation: y = x" : `evaluation, as in 2012: y = x · ${factor}`),
      result(`${format(before)}${factor === 1 ? "" : ` · ${factor}`}`, before * factor, y.values[n]),
      h("h3", {}, `Training, with p = ${p} and one mask`),
      result(`x · m = ${format(before)} · ${format(m)}`, before * m, arrayOf(part.y).values[n]),
      maskPicture(arrayOf(part.mask), n),
    ];
  },
  backward: ({unit: [n], dx, dy, part, settings: {p, factor}}) => {
    const slope = dy.values[n], m = arrayOf(part.mask).values[n];
    return [
      formula(factor === 1 ? "evaluation: dx = dy" : `evaluation, as in 2012: dx = dy · ${factor}`),
      result(`${format(slope)}${factor === 1 ? "" : ` · ${factor}`}`, slope * factor, dx.values[n]),
      h("h3", {}, `Training, with p = ${p} and the same mask`),
      result(`dy · m = ${format(slope)} · ${format(m)}`, slope * m, arrayOf(part.dx).values[n]),
      maskPicture(arrayOf(part.mask), n),
    ];
  },
};

// The whole mask: gray where a unit is switched off.
function maskPicture(mask, n) {
  const across = Math.ceil(Math.sqrt(mask.values.length)), zoom = Math.max(2, Math.floor(168 / across));
  const canvas = h("canvas", {width: across * zoom, height: across * zoom, role: "img", "aria-label": "the mask"});
  const context = canvas.getContext("2d");
  mask.values.forEach((m, i) => {
    context.fillStyle = m ? "#eef" : "#555";
    context.fillRect(i % across * zoom, Math.floor(i / across) * zoom, zoom - (zoom > 3), zoom - (zoom > 3));
  });
  frame(context, [{row: Math.floor(n / across), column: n % across, height: 1, width: 1, color: "#d00"}], zoom);
  const off = mask.values.filter(m => m === 0).length;
  const text = `the mask m: dark units are off, ${off} of ${mask.values.length}; `
             + `this one is ${mask.values[n] ? "on" : "off"}`;
  return h("figure", {}, canvas, h("figcaption", {}, text));
}

VIEWS.flatten = {
  forward: ({unit: [n], x, y}) => {
    const [, height, width] = x.maps;
    const from = [Math.floor(n / (height * width)), Math.floor(n / width) % height, n % width];
    return [
      formula(`${n} = ${from[0]} · ${height * width} + ${from[1]} · ${width} + ${from[2]}`),
      result(`x[${from.join(", ")}]`, at(x, from), y.values[n]),
    ];
  },
  backward: ({unit: [map, row, column], dx, dy}) => {
    const [, height, width] = dx.maps, n = map * height * width + row * width + column;
    return [result(`dy[${n}]`, dy.values[n], at(dx, [map, row, column]))];
  },
};

VIEWS.images = {
  forward: ({unit, x, y}) => [
    result("x", at(x, unit), at(y, unit)),
    note("In units of the network's input: gray levels less the mean image, divided by the recipe's deviation."),
  ],
  backward: ({unit, step, dx}) => fromAll(step, at(dx, unit), dy => at(dy, unit)),
};

// A sum over the devices that used a number.
function fromAll(step, recorded, read) {
  const slopes = step.outputs.map(value => read(cotangentOf(value)));
  const terms = slopes.map((x, d) => ({label: `from device ${d}`, x}));
  return [
    result(format(slopes[0]) + slopes.slice(1).map(x => ` ${signed(x)}`).join(""), sum(slopes), recorded),
    bars("cotangents", "cotangent", terms),
  ];
}

VIEWS.all_gather = VIEWS.gather = {
  forward: ({unit: [map, ...place], step, y}) => {
    const each = dataOf(step.inputs[0]).maps[0], from = Math.floor(map / each), there = [map % each, ...place];
    return [
      formula(`${map} = ${from} · ${each} + ${there[0]}: from device ${from}, its map ${there[0]}`),
      result("x of that device", at(dataOf(step.inputs[from]), there), at(y, [map, ...place])),
    ];
  },
  backward: ({unit: [map, ...place], step, device, dx}) => {
    const number = device * dataOf(step.inputs[0]).maps[0] + map;
    return [formula(`map ${map} of device ${device} is map ${number} of all`),
            ...fromAll(step, at(dx, [map, ...place]), dy => at(dy, [number, ...place]))];
  },
};
