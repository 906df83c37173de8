// Two maps against each other: latents, mostly, among which places are selected by a lasso.

import { ACCENT, SELECTED, colourOf, css, table } from "./colours.js";
import { Surface, choice, drawOutline, drawRing, element, outline, ticks } from "./canvas.js";
import { inside, nearestAlong, readable } from "./data.js";

const MARGIN = { left: 60, right: 10, top: 10, bottom: 34 };
const REACH = 20; // pixels from a point at which it is still hovered over

export class Scatter {
  constructor(app) {
    this.app = app;
    [this.across, this.up] = first(app);
    this.trail = null;
    this.surface = new Surface({
      label: "places by two of their values: arrow keys move to a neighbour", role: "application",
      ratio: app.ratio, draw: (context) => this.draw(context),
    });
    this.surface.listen({
      hover: (at) => { if (!app.pinned) app.show(this.near(at)); },
      click: (at) => app.pin(this.near(at)),
      drag: (trail, event, moved) => { if (moved) { this.trail = trail; this.surface.redraw(); } },
      dropped: (trail, event) => this.dropped(trail, event),
      key: (event) => app.key(event, (right, down) => this.beside(right, down)),
    });
    const pick = (label, name, changed) => choice(label, app.fieldOptions(), name, (chosen) => {
      changed(chosen);
      this.measured = null;
      this.refresh();
    });
    const tools = element("div", { class: "tools" },
      pick("horizontal axis", this.across, (name) => { this.across = name; }),
      element("span", {}, "against"),
      pick("vertical axis", this.up, (name) => { this.up = name; }));
    this.panel = app.panel("Latents", tools, this.surface.box,
      element("p", { class: "about" }, "In the colours of the map. All frames together."));
    if (app.places.frames.length < 2) this.panel.lastChild.textContent = "In the colours of the map.";
  }

  /** Values and limits of both axes. */
  axes() {
    if (this.measured) return this.measured;
    const { data } = this.app;
    this.measured = [this.across, this.up].map((name) => {
      const values = data.field(name);
      let [low, high] = [Infinity, -Infinity];
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
      if (!(high > low)) [low, high] = Number.isFinite(low) ? [low - 1, low + 1] : [0, 1];
      const room = 0.04 * (high - low);
      return { values, low: low - room, high: high + room, field: data.fields.get(name) };
    });
    return this.measured;
  }

  at(place) {
    const [x, y] = this.axes(), { width, height } = this.surface;
    const wide = width - MARGIN.left - MARGIN.right, tall = height - MARGIN.top - MARGIN.bottom;
    return [
      MARGIN.left + (wide * (x.values[place] - x.low)) / (x.high - x.low),
      height - MARGIN.bottom - (tall * (y.values[place] - y.low)) / (y.high - y.low),
    ];
  }

  near([px, py]) {
    let best = -1, least = REACH ** 2;
    for (let i = 0; i < this.app.places.count; i++) {
      const [x, y] = this.at(i);
      const distance = (x - px) ** 2 + (y - py) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  beside(right, down) {
    const { place, places } = this.app, [x, y] = this.at(place);
    return nearestAlong(places.count, place, [right, down], (i) => {
      const [nx, ny] = this.at(i);
      return Number.isNaN(nx + ny) ? null : [nx - x, ny - y];
    });
  }

  dropped(trail, event) {
    this.trail = null;
    if (trail.length > 1) {
      const line = outline(trail, this.app.shape), found = [];
      for (let i = 0; i < this.app.places.count; i++) if (inside(this.at(i), line)) found.push(i);
      this.app.select(found, event.shiftKey);
    } else this.surface.redraw();
  }

  refresh() {
    this.surface.forget();
  }

  draw(context) {
    const { app } = this;
    this.surface.drawKept((kept) => this.paint(kept));
    if (app.place >= 0) drawRing(context, this.at(app.place), 6, ACCENT, 2);
    if (this.trail) drawOutline(context, outline(this.trail, app.shape));
  }

  paint(context) {
    this.paintAxes(context);
    const { app } = this, { data, places, selected } = app;
    const values = data.field(app.map), kinds = data.fields.get(app.map).kinds.length;
    const colours = table(data, app.colours);
    const size = places.count > 20000 ? 1.5 : places.count > 3000 ? 2.5 : 4;
    const some = app.selectedCount > 0;
    for (const chosen of some ? [0, 1] : [0]) {
      context.globalAlpha = some && !chosen ? 0.25 : 0.85;
      for (let i = 0; i < places.count; i++) {
        if (some && selected[i] !== chosen) continue;
        const [x, y] = this.at(i);
        if (Number.isNaN(x + y)) continue;
        if (chosen) {
          context.fillStyle = SELECTED;
          context.fillRect(x - size / 2 - 1, y - size / 2 - 1, size + 2, size + 2);
        }
        context.fillStyle = css(colourOf(values[i], colours, app.limits, kinds));
        context.fillRect(x - size / 2, y - size / 2, size, size);
      }
    }
    context.globalAlpha = 1;
  }

  paintAxes(context) {
    const [x, y] = this.axes(), { width, height } = this.surface;
    const wide = width - MARGIN.left - MARGIN.right, tall = height - MARGIN.top - MARGIN.bottom;
    context.strokeStyle = "#e3e6eb";
    context.fillStyle = "#444c5a";
    context.lineWidth = 1;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (const tick of ticks(x.low, x.high)) {
      const at = MARGIN.left + (wide * (tick - x.low)) / (x.high - x.low);
      context.strokeRect(at, MARGIN.top, 0, tall);
      context.fillText(readable(tick), at, height - MARGIN.bottom + 13);
    }
    context.textAlign = "right";
    for (const tick of ticks(y.low, y.high)) {
      const at = height - MARGIN.bottom - (tall * (tick - y.low)) / (y.high - y.low);
      context.strokeRect(MARGIN.left, at, wide, 0);
      context.fillText(readable(tick), MARGIN.left - 5, at + 4);
    }
    context.strokeStyle = "#9aa3b2";
    context.strokeRect(MARGIN.left, MARGIN.top, wide, tall);
    context.textAlign = "center";
    context.font = "12px system-ui, sans-serif";
    context.fillText(named(x.field), MARGIN.left + wide / 2, height - 5);
    context.save();
    context.translate(11, MARGIN.top + tall / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(named(y.field), 0, 0);
    context.restore();
    context.textAlign = "left";
  }
}

/** What a map is called on an axis. */
export function named(field) {
  return field.units ? `${field.title} (${field.units})` : field.title;
}

/** The two maps that are shown at first: latents that say something, where there are two. */
function first(app) {
  const fields = app.data.header.fields.filter((field) => !field.optional && !field.kinds.length);
  const rank = (field) => (field.collapsed ? 2 : /^z\d*$/.test(field.name) ? 0 : 1);
  const sorted = [...fields].sort((a, b) => rank(a) - rank(b));
  const names = (sorted.length ? sorted : app.data.header.fields).map((field) => field.name);
  return [names[0], names[1] || names[0]];
}
