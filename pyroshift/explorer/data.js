// What Python packed: arrays, places, windows, reconstructions.

const VIEWS = {
  float32: Float32Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array,
};

/** The arrays' bytes, inflated. */
export async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** Bytes out of base64. */
export function fromText(text) {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

export class Data {
  constructor(header, buffer) {
    this.header = header;
    this.arrays = {};
    for (const [name, { type, shape, start }] of Object.entries(header.arrays)) {
      const size = shape.reduce((product, length) => product * length, 1);
      this.arrays[name] = new VIEWS[type](buffer, start, size);
    }
    this.count = header.places.count;
    this.channels = header.windows.channels.length;
    this.window = header.windows.shape;
    this.pixels = this.window.reduce((product, length) => product * length, 1);
    this.fields = new Map(header.fields.map((field) => [field.name, field]));
  }

  /** Values of a map at all places. */
  field(name) {
    return this.arrays[`field.${name}`];
  }

  /** One entry of an array that is kept as whole numbers; the highest of these is missing. */
  entry(name, index, first, length) {
    const codes = this.arrays[name];
    const missing = codes.BYTES_PER_ELEMENT === 1 ? 255 : 65535;
    const low = this.arrays[`${name}.low`][index];
    const step = this.arrays[`${name}.step`][index];
    const values = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      const code = codes[first + i];
      values[i] = code === missing ? NaN : low + step * code;
    }
    return values;
  }

  /** The window at a place as the model sees it; null where there is none. */
  seen(place, channel) {
    if (!this.header.windows.cut) return this.kept("window", place, channel);
    const [frame, top, left] = this.arrays.start.subarray(3 * place, 3 * place + 3);
    if (frame < 0) return null;
    const [, height, width] = this.header.arrays.source.shape;
    const image = frame * this.channels + channel;
    const values = new Float32Array(this.pixels);
    for (let row = 0; row < this.window[0]; row++) {
      const first = (image * height + top + row) * width + left;
      values.set(this.entry("source", image, first, this.window[1]), row * this.window[1]);
    }
    return this.header.windows.stretched ? stretched(values) : values;
  }

  /** The model's reconstruction at a place; null where there is none. */
  made(place, channel) {
    return this.kept("made", place, channel);
  }

  /** What is kept of some places only. */
  kept(name, place, channel) {
    const slot = this.arrays.slot[place];
    if (slot < 0) return null;
    const index = slot * this.channels + channel;
    return this.summed(name, index);
  }

  /** One window or motif of an array whose rows are kept as differences. */
  summed(name, index) {
    const codes = this.arrays[name], width = this.window[this.window.length - 1];
    const low = this.arrays[`${name}.low`][index], step = this.arrays[`${name}.step`][index];
    const values = new Float32Array(this.pixels);
    for (let i = 0, code = 0; i < this.pixels; i++) {
      code = (codes[index * this.pixels + i] + (i % width ? code : 0)) & 255;
      values[i] = code === 255 ? NaN : low + step * code;
    }
    return values;
  }

  /** What remains of a window; phases differ by half a period at most. */
  residual(seen, made, channel) {
    const period = this.header.windows.periods[channel];
    return seen.map((value, i) => {
      const apart = value - made[i];
      if (period === null) return apart;
      return ((((apart + period / 2) % period) + period) % period) - period / 2;
    });
  }
}

function stretched(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const span = high > low ? high - low : 1;
  return values.map((value) => (value - low) / span);
}

/** Where places are, and which of them is somewhere. */
export class Places {
  constructor(data) {
    Object.assign(this, data.header.places);
    this.px = data.arrays["place.x"];
    this.py = data.arrays["place.y"];
    this.pframe = data.arrays["place.frame"];
    this.isPoints = this.kind === "points";
    const [left, right, bottom, top] = this.extent;
    this.dx = this.isPoints ? 0 : (right - left) / this.columns;
    this.dy = this.isPoints ? 0 : (bottom - top) / this.rows;
  }

  frameOf(place) {
    return this.isPoints ? this.pframe[place] : Math.floor(place / (this.rows * this.columns));
  }

  /** Position of a place, [x, y]. */
  at(place) {
    if (this.isPoints) return [this.px[place], this.py[place]];
    const cell = place % (this.rows * this.columns);
    const row = Math.floor(cell / this.columns), column = cell % this.columns;
    const [left, , , top] = this.extent;
    return [left + (column + 0.5) * this.dx, top + (row + 0.5) * this.dy];
  }

  /** The place in a grid, or -1. */
  cell(frame, row, column) {
    if (row < 0 || column < 0 || row >= this.rows || column >= this.columns) return -1;
    const place = (frame * this.rows + row) * this.columns + column;
    return place < this.count ? place : -1;
  }

  /** The place nearest to a position in a frame, or -1; of a grid, the cell that it is in. */
  near(frame, x, y) {
    const [left, , , top] = this.extent;
    if (!this.isPoints) {
      const row = Math.floor((y - top) / this.dy), column = Math.floor((x - left) / this.dx);
      return this.cell(frame, row, column);
    }
    let best = -1, least = Infinity;
    for (let i = 0; i < this.count; i++) {
      if (this.pframe[i] !== frame) continue;
      const distance = (this.px[i] - x) ** 2 + (this.py[i] - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  /** The next place to the right (1, 0), below (0, 1) ... as displayed; itself at the edge. */
  beside(place, right, down) {
    const frame = this.frameOf(place);
    if (!this.isPoints) {
      const cell = place % (this.rows * this.columns);
      const row = Math.floor(cell / this.columns) + down;
      const next = this.cell(frame, row, (cell % this.columns) + right);
      return next < 0 ? place : next;
    }
    const [x, y] = this.at(place);
    const signs = [Math.sign(this.extent[1] - this.extent[0]) * right,
      Math.sign(this.extent[2] - this.extent[3]) * down];
    return nearestAlong(this.count, place, signs, (i) =>
      this.pframe[i] === frame ? [this.px[i] - x, this.py[i] - y] : null);
  }

  inFrame(frame) {
    const found = [];
    for (let i = 0; i < this.count; i++) if (this.frameOf(i) === frame) found.push(i);
    return found;
  }
}

/** The nearest of all in the quarter that a direction points into; the same where none is. */
export function nearestAlong(count, from, [right, down], apart) {
  let best = from, least = Infinity;
  for (let i = 0; i < count; i++) {
    const between = i === from ? null : apart(i);
    if (!between) continue;
    const along = between[0] * right + between[1] * down;
    const across = Math.abs(between[0] * down) + Math.abs(between[1] * right);
    if (along <= 0 || across > along) continue;
    const distance = along ** 2 + across ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

/** Whether a point is inside of a closed line. */
export function inside([x, y], line) {
  let within = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [ax, ay] = line[i], [bx, by] = line[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}

/** A number to read. */
export function readable(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return (text.includes("e") ? text : String(Number(text))).replace("-", "−");
}

/** From where to where, to as many digits as tell the ends apart. */
export function span([low, high], units) {
  if (PREFIXED.includes(units)) return `${withUnit(low, units)} to ${withUnit(high, units)}`;
  const size = Math.floor(Math.log10(Math.max(high - low, 1e-30)));
  const fixed = (value) => (size > 4 || size < -4 ? readable(value)
    : String(Number(value.toFixed(Math.max(0, 2 - size)))).replace("-", "−"));
  return `${fixed(low)} to ${fixed(high)}${units ? ` ${units}` : ""}`;
}

/** A latent's name. */
export function latentName(number) {
  return `z${[...String(number)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("")}`;
}

const PREFIXED = ["m", "V", "A", "s", "Hz", "N", "F"];

/** A number, with a prefix where its unit takes one. */
export function withUnit(value, units, digits = 3) {
  const prefixes = { "-12": "p", "-9": "n", "-6": "µ", "-3": "m", 0: "", 3: "k", 6: "M", 9: "G" };
  if (!PREFIXED.includes(units) || !value) {
    return `${readable(value, digits)}${units ? ` ${units}` : ""}`;
  }
  const power = 3 * Math.min(3, Math.max(-4, Math.floor(Math.log10(Math.abs(value)) / 3)));
  return `${readable(value / 10 ** power, digits)} ${prefixes[power]}${units}`;
}
