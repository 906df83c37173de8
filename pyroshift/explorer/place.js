// One place: its window, what the model makes of it, what remains, and what is known of it.

import { bar, pixels, table } from "./colours.js";
import { Surface, choice, element, ticks } from "./canvas.js";
import { readable, span, withUnit } from "./data.js";

const NAMES = ["window", "reconstruction", "residual"];

/** Values of a window as a picture in a surface, as large as it fits. */
export function drawWindow(surface, values, shape, colours, limits) {
  const { context, width, height } = surface;
  const scale = Math.min(width / shape[1], height / shape[0]);
  const [wide, tall] = [shape[1] * scale, shape[0] * scale];
  const drawn = pixels(values, shape[0], shape[1], colours, limits);
  context.imageSmoothingEnabled = false;
  context.drawImage(drawn, (width - wide) / 2, (height - tall) / 2, wide, tall);
}

/** Signals as lines over the same axis. */
export function drawLines(surface, lines, [low, high], axis) {
  const { context, width, height } = surface;
  const [left, right, top, bottom] = [46, 8, 8, axis.label ? 32 : 8];
  const [wide, tall] = [width - left - right, height - top - bottom];
  const room = 0.06 * (high - low) || 1;
  const y = (value) => top + (tall * (high + room - value)) / (high - low + 2 * room);
  context.font = "11px system-ui, sans-serif";
  context.strokeStyle = "#e3e6eb";
  context.fillStyle = "#444c5a";
  context.lineWidth = 1;
  context.textAlign = "right";
  for (const tick of ticks(low, high, 3)) {
    context.strokeRect(left, y(tick), wide, 0);
    context.fillText(readable(tick), left - 5, y(tick) + 4);
  }
  context.textAlign = "center";
  if (axis.label) {
    const { origin } = axis, end = origin + axis.step * (axis.length - 1);
    for (const tick of ticks(Math.min(origin, end), Math.max(origin, end), wide / 60)) {
      const at = left + (wide * (tick - origin)) / (end - origin);
      context.fillText(readable(tick), at, height - bottom + 13);
    }
    context.fillText(axis.label, left + wide / 2, height - 4);
  }
  context.textAlign = "left";
  context.strokeStyle = "#9aa3b2";
  context.strokeRect(left, top, wide, tall);
  for (const { values, colour, dots } of lines) {
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1.6;
    context.beginPath();
    values.forEach((value, i) => {
      const x = left + (wide * i) / Math.max(1, values.length - 1);
      if (Number.isNaN(value)) return;
      if (dots) context.fillRect(x - 1.2, y(value) - 1.2, 2.4, 2.4);
      else context.lineTo(x, y(value));
    });
    if (!dots) context.stroke();
  }
}

/** The axis of a signal. */
export function signalAxis(windows, labelled = true) {
  const unit = windows.stepUnits[0];
  const from = windows.origin === null ? " from its start" : "";
  return { length: windows.shape[0], step: windows.steps[0], origin: windows.origin || 0,
    label: labelled ? `${windows.axes[0]}${from} (${unit})` : "" };
}

export class PlaceView {
  constructor(app) {
    this.app = app;
    this.windows = app.data.header.windows;
    this.flat = this.windows.shape.length === 1;
    this.channel = 0;
    this.own = false;
    const ratio = this.flat ? 0 : this.windows.shape[1] / this.windows.shape[0];
    const names = this.flat ? ["window and reconstruction", "residual"] : NAMES;
    this.surfaces = names.map((name, n) => new Surface({
      label: name, ratio, tall: this.flat ? [150, 90][n] : null, draw: () => this.paint(n),
    }));
    this.figures = names.map((name, n) => element("figure", {}, element("figcaption", {}, name),
      this.surfaces[n].box));
    this.tools = element("div", { class: "tools" });
    if (app.data.channels > 1) {
      this.tools.append(choice("channel of the window",
        this.windows.channels.map((name, n) => [n, name]), 0, (n) => {
          this.channel = Number(n);
          this.refresh();
        }));
    }
    const own = element("input", { type: "checkbox" });
    own.addEventListener("change", () => { this.own = own.checked; this.refresh(); });
    this.tools.append(element("label", {}, own, " limits of each window"));
    this.bars = [0, 1].map(() => ({
      canvas: element("canvas", { width: 256, height: 1, class: "bar", "aria-hidden": "true" }),
      text: element("span", { class: "limits" }) }));
    this.caption = element("div", { class: "colourbar pair" }, ...this.bars.flatMap(({ canvas, text }) =>
      [canvas, text]));
    this.note = element("p", { class: "about" });
    this.panel = app.panel("Window", this.tools,
      element("div", { class: this.flat ? "signals" : "windows" }, ...this.figures), this.caption,
      this.note);
    bar(this.bars[0].canvas, this.colours(0));
    bar(this.bars[1].canvas, this.colours(2));
  }

  colours(n) {
    if (n === 2) return table(this.app.data, "RdBu_r");
    return table(this.app.data, this.windows.periods[this.channel] === null ? "gray" : "twilight");
  }

  refresh() {
    const { app, channel } = this, { data, place } = app;
    this.seen = place < 0 ? null : data.seen(place, channel);
    this.made = place < 0 ? null : data.made(place, channel);
    this.apart = this.seen && this.made ? data.residual(this.seen, this.made, channel) : null;
    this.limits = this.windows.limits[channel];
    let bound = this.windows.residual[channel];
    if (this.own && this.seen) {
      this.limits = bounds(this.made ? [...this.seen, ...this.made] : this.seen);
      if (this.apart) bound = Math.max(...bounds(this.apart).map(Math.abs)) || 1;
    }
    this.signed = [-bound, bound];
    const unit = this.windows.units[channel];
    this.bars[0].text.textContent = span(this.limits, unit);
    this.bars[1].text.textContent = span(this.signed, unit);
    this.caption.hidden = this.flat;
    this.note.textContent = place < 0 ? "Hover over a place."
      : !this.seen && !this.made ? "There is no window here, or it was left out of the page."
      : !this.made ? "The reconstruction was left out of the page, for its size." : "";
    this.note.hidden = !this.note.textContent;
    for (const surface of this.surfaces) surface.redraw();
  }

  paint(n) {
    const { windows, surfaces, seen, made, apart, limits, signed } = this;
    if (this.flat) {
      const lines = n ? [{ values: apart, colour: "#d55e00" }]
        : [{ values: seen, colour: "#6b7280", dots: true }, { values: made, colour: "#0072b2" }];
      drawLines(surfaces[n], lines.filter(({ values }) => values), n ? signed : limits,
        signalAxis(windows, n === 1));
      return;
    }
    const values = [seen, made, apart][n];
    if (values) drawWindow(surfaces[n], values, windows.shape, this.colours(n), n === 2 ? signed : limits);
  }
}

function bounds(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low < high ? [low, high] : [low - 1, low + 1];
}

/** All numbers of a place: maps with their intervals, classes, modes. */
export class Numbers {
  constructor(app) {
    this.app = app;
    const { fields, modes } = app.data.header;
    this.rows = fields.filter((field) => !field.deviation && !field.probability).map((field) => {
      const [value, mark] = [element("td", { class: "number" }), element("i", {})];
      const track = element("td", { class: "track" }, element("span", {}, mark));
      const row = element("tr", field.collapsed ? { class: "collapsed", title: "collapsed" } : {},
        element("th", { scope: "row", title: field.about }, field.title), value, track);
      return { field, value, mark, row };
    });
    this.classes = fields.filter((field) => field.probability).map((field) => {
      const [value, mark] = [element("td", { class: "number" }), element("i", { class: "share" })];
      const row = element("tr", {}, element("th", { scope: "row" }, field.title), value,
        element("td", { class: "track" }, element("span", {}, mark)));
      return { field, value, mark, row };
    });
    this.heading = element("p", { class: "place", role: "status", "aria-live": "polite" });
    const sections = [this.heading, element("table", {}, element("tbody", {}, ...this.rows.map(({ row }) => row)))];
    if (this.classes.length) {
      sections.push(element("h3", {}, "Probability of each class"),
        element("table", {}, element("tbody", {}, ...this.classes.map(({ row }) => row))));
    }
    if (modes) sections.push(element("h3", {}, "Modes of the pose"), this.modesTable(modes));
    this.panel = app.panel("Place", element("div", { class: "tools" },
      element("span", {}, "mean ± standard deviation")), ...sections);
  }

  modesTable(modes) {
    const head = modes.columns.map(({ title, units }) =>
      element("th", { scope: "col" }, units ? `${title} (${units})` : title));
    this.modes = Array.from({ length: modes.count }, () => modes.columns.map(() => element("td", { class: "number" })));
    return element("table", { class: "modes" }, element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...this.modes.map((cells) => element("tr", {}, ...cells))));
  }

  refresh() {
    const { data, place } = this.app;
    this.heading.textContent = place < 0 ? "No place yet" : this.app.where(place);
    for (const { field, value, mark } of this.rows) {
      const mean = place < 0 ? NaN : data.field(field.name)[place];
      const deviation = data.fields.has(`${field.name}_std`) && place >= 0
        ? data.field(`${field.name}_std`)[place] : null;
      value.textContent = field.kinds.length ? field.kinds[mean] || "–" : interval(mean, deviation, field.units);
      this.place(mark, field, mean, deviation);
    }
    for (const { field, value, mark } of this.classes) {
      const share = place < 0 ? NaN : data.field(field.name)[place];
      value.textContent = Number.isNaN(share) ? "–" : share.toFixed(2);
      mark.style.width = `${100 * (share || 0)}%`;
    }
    const { modes } = data.header;
    (this.modes || []).forEach((cells, mode) => cells.forEach((cell, n) => {
      const values = data.arrays[`mode.${modes.columns[n].name}`];
      const value = place < 0 ? NaN : values[place * modes.count + mode];
      cell.textContent = n === 0 && value < 0.001 ? "< 0.001" : readable(value);
    }));
  }

  /** Where between the map's limits the value is, and how wide its interval. */
  place(mark, field, mean, deviation) {
    const [low, high] = field.limits, at = (mean - low) / (high - low);
    mark.hidden = !Number.isFinite(at) || field.kinds.length > 0;
    const half = Math.max(0.012, (deviation || 0) / (high - low));
    const start = Math.min(0.98, Math.max(0, at - half)), end = Math.max(0.02, Math.min(1, at + half));
    mark.style.left = `${100 * start}%`;
    mark.style.width = `${100 * Math.max(0.02, end - start)}%`;
  }
}

/** A mean and its standard deviation, to as many digits as are known. */
export function interval(mean, deviation, units) {
  if (!Number.isFinite(deviation) || deviation === null || !(deviation > 0)) return withUnit(mean, units);
  if (!Number.isFinite(mean)) return "–";
  if (["m", "V", "A", "s", "Hz", "N", "F"].includes(units)) {
    return `${withUnit(mean, units)} ± ${withUnit(deviation, units, 2)}`;
  }
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(deviation))));
  const text = `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`.replaceAll("-", "−");
  return units ? `${text} ${units}` : text;
}
