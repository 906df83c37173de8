// The manifold: what the model draws for each z, under a handle that is dragged.

import { ACCENT, pixels, table } from "./colours.js";
import { Surface, arrow, choice, drawRing, element, slider, ticks } from "./canvas.js";
import { latentName, readable } from "./data.js";
import { drawLines, drawWindow, signalAxis } from "./place.js";

const ROOM = 40; // pixels for the numbers along the axes

export class MotifView {
  constructor(app) {
    this.app = app;
    this.tiles = app.data.header.tiles;
    this.sizes = this.tiles.axes.map((axis) => axis.length);
    this.windows = app.data.header.windows;
    this.flat = this.windows.shape.length === 1;
    this.z = [...this.tiles.centre];
    this.kind = 0;
    this.channel = 0;
    this.plane = this.sizes.length > 1 ? [0, 1] : [0];
    this.follows = true;
    this.make();
    this.drawn = this.interpolated();
  }

  make() {
    const { app, tiles } = this, ratio = this.flat ? 1.4 : this.windows.shape[1] / this.windows.shape[0];
    this.map = new Surface({
      label: "plane of z: drag, or arrow keys, to draw the motif", role: "application",
      ratio: this.shape(), draw: (context) => this.paintPlane(context),
    });
    this.motif = new Surface({ label: "motif at this z", ratio, draw: () => this.paintMotif() });
    this.map.listen({
      drag: (trail) => this.moveTo(trail[trail.length - 1]),
      key: (event) => this.step(event),
    });
    this.badge = element("p", { class: "about" });
    this.values = element("p", { class: "about" });
    this.tools = element("div", { class: "tools" });
    this.sliders = element("div", { class: "sliders" });
    if (tiles.kinds.length) {
      this.kindSelect = choice("class of the motif", tiles.kinds.map((name, n) => [n, `class ${name}`]), 0,
        (n) => this.set(() => { this.kind = Number(n); }));
      this.tools.append(this.kindSelect);
    }
    if (app.data.channels > 1) {
      this.tools.append(choice("channel of the motif", this.windows.channels.map((name, n) => [n, name]), 0,
        (n) => this.set(() => { this.channel = Number(n); })));
    }
    if (this.sizes.length > 2) {
      const options = tiles.latents.map((latent, n) => [n, latentName(latent)]);
      this.tools.append(...["across", "up"].map((name, axis) =>
        choice(`latent ${name} the plane`, options, this.plane[axis], (n) => this.turn(axis, Number(n)))));
    }
    const follows = element("input", { type: "checkbox", checked: true });
    follows.addEventListener("change", () => { this.follows = follows.checked; this.refresh(); });
    this.tools.append(element("label", {}, follows, " follow the place"));
    this.makeSliders();
    this.panel = app.panel("Manifold", this.tools,
      element("div", { class: this.plane.length > 1 ? "manifold" : "manifold line" }, this.map.box,
        element("div", {}, this.motif.box, this.values)), this.sliders, this.badge);
  }

  /** Width over height of the plane, with room for its numbers, about that of its tiles. */
  shape() {
    const tile = this.flat ? 1 : this.windows.shape[1] / this.windows.shape[0];
    if (this.plane.length > 1) return Math.min(1.6, Math.max(0.6, tile));
    return Math.min(7, (1.12 * tile * this.sizes[0]) / (1 + 0.1 * tile * this.sizes[0]));
  }

  makeSliders() {
    const { tiles } = this;
    this.free = tiles.latents.map((_, n) => n).filter((n) => !this.plane.includes(n)).map((n) => {
      const axis = tiles.axes[n], ends = [axis[0], axis[axis.length - 1]];
      const made = slider(latentName(tiles.latents[n]), ...ends, (ends[1] - ends[0]) / 100,
        this.z[tiles.latents[n]], (value) => readable(value, 2),
        (value) => this.set(() => { this.z[tiles.latents[n]] = value; }));
      return { n, ...made };
    });
    this.sliders.replaceChildren(...this.free.map(({ row }) => row));
  }

  /** Another latent along one axis of the plane; the two change places if it is the other's. */
  turn(axis, n) {
    const other = this.plane[1 - axis];
    if (n === other) this.plane.reverse();
    else this.plane[axis] = n;
    this.tools.querySelectorAll("select[aria-label^=latent]").forEach((select, at) => {
      select.value = String(this.plane[at]);
    });
    this.makeSliders();
    this.set(() => {});
  }

  /** The latents, class and drawing of the place that is shown. */
  refresh() {
    const { data, place } = this.app, { latents } = this.tiles;
    if (!this.follows || place < 0) return;
    const size = this.z.length, own = data.arrays.z.subarray(place * size, (place + 1) * size);
    if (own.some(Number.isNaN)) return;
    this.set(() => {
      this.z = latents.reduce((z, n) => { z[n] = own[n]; return z; }, [...this.tiles.centre]);
      const classes = data.fields.has("class") ? data.field("class")[place] : 0;
      if (this.tiles.kinds.length && classes >= 0) this.kind = classes;
    });
  }

  set(change) {
    change();
    if (this.kindSelect) this.kindSelect.value = String(this.kind);
    for (const { n, set } of this.free) set(this.z[this.tiles.latents[n]]);
    this.drawn = this.interpolated();
    this.live = false;
    this.redraw();
    this.ask();
  }

  /** The model itself, where there is one: the last that was asked for, once it is free. */
  ask() {
    const { live } = this.app;
    if (!live || this.asked) { this.again = Boolean(live); return; }
    this.asked = true;
    this.again = false;
    const kind = this.tiles.kinds.length ? this.kind : null;
    live.decode(Array.from(this.z), kind).then((values) => {
      this.asked = false;
      if (this.again) return this.ask();
      if (!values) return undefined;
      const pixelCount = this.app.data.pixels;
      this.drawn = values.subarray(this.channel * pixelCount, (this.channel + 1) * pixelCount);
      this.live = true;
      return this.redraw();
    });
  }

  redraw() {
    const { latents } = this.tiles;
    this.values.textContent = latents.map((n) => `${latentName(n)} = ${readable(this.z[n], 2)}`).join(", ");
    this.badge.textContent = this.live ? "Drawn by the model itself."
      : `Interpolated between ${this.sizes.join(" × ")} motifs that the model drew, without pose.`;
    this.map.redraw();
    this.motif.redraw();
  }

  /** Where in the grid a latent is: the tile before, and the share of the next. */
  along(n) {
    const axis = this.tiles.axes[n], step = axis[1] - axis[0];
    const at = Math.min(axis.length - 1, Math.max(0, (this.z[this.tiles.latents[n]] - axis[0]) / step));
    const before = Math.min(axis.length - 2, Math.floor(at));
    return [before, at - before];
  }

  tile(indices) {
    let index = this.kind;
    indices.forEach((at, n) => { index = index * this.sizes[n] + at; });
    index = index * this.app.data.channels + this.channel;
    return this.app.data.summed("tile", index);
  }

  /** Between the tiles around, linear along each latent. */
  interpolated() {
    const places = this.sizes.map((_, n) => this.along(n));
    const sum = new Float32Array(this.app.data.pixels);
    for (let corner = 0; corner < 2 ** places.length; corner++) {
      let weight = 1;
      const indices = places.map(([before, share], n) => {
        const next = (corner >> n) & 1;
        weight *= next ? share : 1 - share;
        return before + next;
      });
      if (weight) this.tile(indices).forEach((value, i) => { sum[i] += weight * value; });
    }
    return sum;
  }

  /** The box of the plane within its canvas. */
  box() {
    return { left: ROOM, top: 4, wide: this.map.width - ROOM - 4, tall: this.map.height - ROOM - 4 };
  }

  moveTo([x, y]) {
    const { left, top, wide, tall } = this.box(), shares = [(x - left) / wide, 1 - (y - top) / tall];
    this.set(() => this.plane.forEach((n, axis) => {
      const values = this.tiles.axes[n], half = (values[1] - values[0]) / 2;
      const [low, high] = [values[0] - half, values[values.length - 1] + half];
      this.z[this.tiles.latents[n]] = Math.min(high - half,
        Math.max(low + half, low + shares[axis] * (high - low)));
    }));
  }

  step(event) {
    const direction = arrow(event);
    if (!direction) return false;
    this.set(() => this.plane.forEach((n, axis) => {
      const values = this.tiles.axes[n], latent = this.tiles.latents[n];
      const along = axis ? -direction[axis] : direction[axis]; // the second goes up
      const moved = this.z[latent] + along * ((values[1] - values[0]) / 4);
      this.z[latent] = Math.min(values[values.length - 1], Math.max(values[0], moved));
    }));
    return true;
  }

  colours() {
    return table(this.app.data, this.windows.periods[this.channel] === null ? "gray" : "twilight");
  }

  /** The tiles, which are drawn again only where others are to be seen. */
  tilesDrawn() {
    const { canvas, scale } = this.map, nearest = this.sizes.map((_, n) => {
      const [at, share] = this.along(n);
      return this.plane.includes(n) ? 0 : at + Math.round(share);
    });
    const shown = [canvas.width, canvas.height, this.kind, this.channel, this.plane, nearest].join();
    if (this.shown === shown) return this.drawnTiles;
    this.shown = shown;
    this.drawnTiles = document.createElement("canvas");
    [this.drawnTiles.width, this.drawnTiles.height] = [canvas.width, canvas.height];
    const context = this.drawnTiles.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    this.paintTiles(context, nearest);
    return this.drawnTiles;
  }

  paintTiles(context, nearest) {
    const { left, top, wide, tall } = this.box(), [across, up] = this.plane;
    const columns = this.sizes[across], rows = up === undefined ? 1 : this.sizes[up];
    const [w, h] = [wide / columns, tall / rows], limits = this.tiles.limits[this.channel];
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const indices = [...nearest];
      indices[across] = column;
      if (up !== undefined) indices[up] = row;
      this.paintTile(context, this.tile(indices), limits, [left + column * w, top + (rows - 1 - row) * h, w, h]);
    }
    context.strokeStyle = "#9aa3b2";
    context.lineWidth = 1;
    context.strokeRect(left, top, wide, tall);
    this.paintAxes(context);
  }

  paintPlane(context) {
    const { left, top, wide, tall } = this.box(), [across, up] = this.plane;
    const w = wide / this.sizes[across], h = up === undefined ? tall : tall / this.sizes[up];
    context.drawImage(this.tilesDrawn(), 0, 0, this.map.width, this.map.height);
    const at = (n, size) => { const [before, share] = this.along(n); return size * (before + share + 0.5); };
    const [x, y] = [left + at(across, w), up === undefined ? top + tall / 2 : top + tall - at(up, h)];
    drawRing(context, [x, y], 7, ACCENT, 2.5);
  }

  paintTile(context, values, limits, [x, y, w, h]) {
    if (!this.flat) {
      const drawn = pixels(values, ...this.windows.shape, this.colours(), limits);
      context.drawImage(drawn, x, y, w, h);
      return;
    }
    context.strokeStyle = "#0072b2";
    context.lineWidth = 1;
    context.beginPath();
    values.forEach((value, i) => context.lineTo(x + 2 + ((w - 4) * i) / (values.length - 1),
      y + h - 2 - ((h - 4) * (value - limits[0])) / (limits[1] - limits[0])));
    context.stroke();
  }

  paintAxes(context) {
    const { left, top, wide, tall } = this.box(), [across, up] = this.plane;
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = "#444c5a";
    const along = (n, length) => {
      const values = this.tiles.axes[n], size = length / values.length;
      return ticks(values[0], values[values.length - 1], 4).map((tick) =>
        [tick, size * (0.5 + (tick - values[0]) / (values[1] - values[0]))]);
    };
    context.textAlign = "center";
    for (const [tick, at] of along(across, wide)) context.fillText(readable(tick), left + at, top + tall + 13);
    context.fillText(latentName(this.tiles.latents[across]), left + wide / 2, top + tall + 28);
    if (up === undefined) return;
    context.textAlign = "right";
    for (const [tick, at] of along(up, tall)) context.fillText(readable(tick), left - 4, top + tall - at + 4);
    context.textAlign = "left";
    context.fillText(latentName(this.tiles.latents[up]), 0, top + tall / 2 + 4);
  }

  paintMotif() {
    const limits = this.tiles.limits[this.channel];
    if (this.flat) {
      const lines = [{ values: this.drawn, colour: "#0072b2" }];
      drawLines(this.motif, lines, limits, signalAxis(this.windows));
    } else drawWindow(this.motif, this.drawn, this.windows.shape, this.colours(), limits);
  }
}
