// Colours of values, and pictures of them.

const MISSING = [224, 226, 230];
export const KINDS = [
  "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f",
  "#6a3d9a", "#b2df8a", "#fb9a99", "#b15928",
];
export const ACCENT = "#d4006a"; // of the place that is shown
export const SELECTED = "#ff8c00";

/** A colour map's 256 colours, three bytes each. */
export function table(data, name) {
  const index = Math.max(0, data.header.colourMaps.indexOf(name));
  return data.arrays.colours.subarray(768 * index, 768 * (index + 1));
}

/** The colour of a value, [red, green, blue]. */
export function colourOf(value, colours, [low, high], kinds = 0) {
  if (!Number.isFinite(value)) return MISSING;
  if (kinds) return value < 0 ? MISSING : bytes(KINDS[value % KINDS.length]);
  const share = high > low ? (value - low) / (high - low) : 0.5;
  const at = 3 * Math.min(255, Math.max(0, Math.floor(share * 256)));
  return [colours[at], colours[at + 1], colours[at + 2]];
}

export function css([red, green, blue]) {
  return `rgb(${red},${green},${blue})`;
}

function bytes(text) {
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

/** A picture of values, one pixel each. */
export function pixels(values, height, width, colours, limits, kinds = 0) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const [low, high] = limits;
  const scale = high > low ? 256 / (high - low) : 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    let red, green, blue;
    if (kinds || !Number.isFinite(value)) [red, green, blue] = colourOf(value, colours, limits, kinds);
    else {
      const level = scale ? Math.floor((value - low) * scale) : 128;
      const at = 3 * (level < 0 ? 0 : level > 255 ? 255 : level);
      red = colours[at]; green = colours[at + 1]; blue = colours[at + 2];
    }
    image.data[4 * i] = red;
    image.data[4 * i + 1] = green;
    image.data[4 * i + 2] = blue;
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A bar of all colours. */
export function bar(canvas, colours) {
  const values = Float32Array.from({ length: 256 }, (_, i) => i);
  const drawn = pixels(values, 1, 256, colours, [0, 256]);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(drawn, 0, 0, canvas.width, canvas.height);
}
