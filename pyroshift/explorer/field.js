// The image and the maps, side by side and linked: a pointer on one is a pointer on all.

import { ACCENT, SELECTED, bar, colourOf, css, pixels, table } from "./colours.js";
import { Surface, choice, drawOutline, element, outline, roundBelow } from "./canvas.js";
import { inside, span, withUnit } from "./data.js";

/** What both the image and the map do: carry positions, select, walk. */
class View {
  constructor(app, label) {
    this.app = app;
    const { places, extent, isotropic } = app;
    this.extent = extent;
    this.isotropic = isotropic;
    const [left, right, bottom, top] = extent;
    const shape = Math.abs((right - left) / (bottom - top));
    this.surface = new Surface({
      label, role: "application", ratio: isotropic ? Math.min(2.5, Math.max(0.7, shape)) : 1.3,
      draw: (context, width, height) => this.draw(context, width, height),
    });
    this.trail = null;
    this.surface.listen({
      hover: (at) => { if (!app.pinned) app.show(places.near(app.frame, ...this.place(at))); },
      click: (at) => app.pin(places.near(app.frame, ...this.place(at))),
      drag: (trail, event, moved) => { if (moved) { this.trail = trail; this.surface.redraw(); } },
      dropped: (trail, event) => this.dropped(trail, event),
      key: (event) => app.key(event, (right, down) => places.beside(app.place, right, down)),
    });
  }

  /** Scale and shift from positions to the canvas's pixels. */
  frame() {
    const [left, right, bottom, top] = this.extent;
    const { width, height } = this.surface;
    let sx = width / (right - left), sy = height / (bottom - top);
    if (this.isotropic) {
      const least = Math.min(Math.abs(sx), Math.abs(sy));
      [sx, sy] = [Math.sign(sx) * least, Math.sign(sy) * least];
    }
    return { sx, sy, x0: (width - sx * (right - left)) / 2 - sx * left,
      y0: (height - sy * (bottom - top)) / 2 - sy * top };
  }

  canvasAt([x, y]) {
    const { sx, sy, x0, y0 } = this.frame();
    return [x0 + sx * x, y0 + sy * y];
  }

  place([px, py]) {
    const { sx, sy, x0, y0 } = this.frame();
    return [(px - x0) / sx, (py - y0) / sy];
  }

  dropped(trail, event) {
    this.trail = null;
    if (trail.length > 1) {
      const line = outline(trail, this.app.shape).map((at) => this.place(at));
      const { places, frame } = this.app;
      const found = places.inFrame(frame).filter((place) => inside(places.at(place), line));
      this.app.select(found, event.shiftKey);
    } else this.surface.redraw();
  }

  /** All but the pointer is kept as a picture, as it changes less often. */
  refresh() {
    this.surface.forget();
  }

  draw(context, width, height) {
    this.surface.drawKept((kept) => {
      this.paint(kept);
      this.paintSelected(kept);
    });
    this.drawScale(context, width, height);
    this.drawPlace(context);
    if (this.trail) drawOutline(context, outline(this.trail, this.app.shape));
  }

  picture(context, drawn, [left, right, bottom, top]) {
    const [ax, ay] = this.canvasAt([left, top]), [bx, by] = this.canvasAt([right, bottom]);
    context.imageSmoothingEnabled = false;
    context.drawImage(drawn, Math.min(ax, bx), Math.min(ay, by), Math.abs(bx - ax), Math.abs(by - ay));
  }

  paintSelected(context) {
    const { places, frame, selected } = this.app;
    context.fillStyle = "rgba(255,140,0,0.45)";
    context.strokeStyle = SELECTED;
    const { sx, sy } = this.frame();
    const w = Math.abs(sx * places.dx), h = Math.abs(sy * places.dy);
    for (let i = 0; i < places.count; i++) {
      if (!selected[i] || places.frameOf(i) !== frame) continue;
      const [x, y] = this.canvasAt(places.at(i));
      if (places.isPoints) {
        context.beginPath();
        context.arc(x, y, this.radius() + 1.5, 0, 7);
        context.lineWidth = 2;
        context.stroke();
      } else context.fillRect(x - w / 2, y - h / 2, w, h);
    }
  }

  radius() {
    const spacing = Math.sqrt((this.surface.width * this.surface.height) / this.app.perFrame);
    return Math.min(7, Math.max(1.5, 0.32 * spacing));
  }

  /** The place that is shown, and the outline of its window. */
  drawPlace(context) {
    const { app } = this, { places, place, frame } = app;
    if (place < 0 || places.frameOf(place) !== frame) return;
    const [x, y] = this.canvasAt(places.at(place));
    const { sx, sy } = this.frame();
    const [wide, tall] = app.windowSize || [0, 0];
    const w = wide ? Math.abs(sx * wide) : Math.max(8, Math.abs(sx * places.dx));
    const h = tall ? Math.abs(sy * tall) : Math.max(8, Math.abs(sy * places.dy));
    for (const [colour, line] of [["white", 4], [ACCENT, 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.setLineDash(app.pinned || colour === "white" ? [] : [5, 3]);
      context.strokeRect(x - w / 2, y - h / 2, w, h);
      context.setLineDash([]);
      context.beginPath();
      context.moveTo(x - 4, y); context.lineTo(x + 4, y);
      context.moveTo(x, y - 4); context.lineTo(x, y + 4);
      context.stroke();
    }
  }

  /** A bar of a round length. */
  drawScale(context, width, height) {
    const unit = this.app.places.units[1];
    if (!this.isotropic || !unit) return;
    const { sx } = this.frame();
    const length = roundBelow((0.3 * width) / Math.abs(sx));
    const pixels = length * Math.abs(sx), text = withUnit(length, unit);
    context.font = "600 12px system-ui, sans-serif";
    const wide = Math.max(pixels, context.measureText(text).width);
    context.fillStyle = "rgba(255,255,255,0.85)";
    context.fillRect(6, height - 32, wide + 12, 26);
    context.fillStyle = "#111";
    context.fillText(text, 12, height - 18);
    context.fillRect(12, height - 13, pixels, 3);
  }
}

/** What the maps are of. */
export class ImageView extends View {
  constructor(app) {
    const { picture } = app.data.header;
    super(app, `${picture ? picture.label : "places"}: arrow keys move the place`);
    const { channels } = picture || { channels: [""] };
    this.channel = 0;
    this.bar = element("canvas", { width: 256, height: 1, class: "bar", "aria-hidden": "true" });
    this.caption = element("span", { class: "limits" });
    const tools = element("div", { class: "tools" });
    if (channels.length > 1) {
      tools.append(choice("channel of the image", channels.map((name, n) => [n, name]), 0, (n) => {
        this.channel = Number(n);
        this.refresh();
      }));
    }
    this.panel = app.panel(picture ? title(picture.label) : "Places", tools, this.surface.box,
      element("div", { class: "colourbar" }, this.bar, this.caption));
  }

  paint(context) {
    const { data, places, frame } = this.app, { picture } = data.header;
    if (!picture) {
      context.fillStyle = "#8a93a3";
      for (const place of places.inFrame(frame)) {
        const [x, y] = this.canvasAt(places.at(place));
        context.fillRect(x - 1.5, y - 1.5, 3, 3);
      }
      return;
    }
    const [, height, width] = data.header.arrays[picture.array].shape;
    const shown = Math.min(frame, picture.frames - 1);
    const index = shown * picture.channels.length + this.channel;
    const values = data.entry(picture.array, index, index * height * width, height * width);
    const grey = table(data, "gray"), limits = picture.limits[this.channel];
    this.picture(context, pixels(values, height, width, grey, limits), picture.extent);
    bar(this.bar, grey);
    const unit = picture.units[this.channel];
    this.caption.textContent = span(limits, unit);
  }
}

/** One map, and how it is coloured. */
export class MapView extends View {
  constructor(app) {
    super(app, "map: arrow keys move the place");
    const { data } = app;
    this.select = choice("map that is shown", app.fieldOptions(), app.map, (name) => app.choose(name));
    this.colours = choice("colour map",
      data.header.colourMaps.map((name) => [name, name]), app.colours, (name) => app.recolour(name));
    const number = (label) => element("input", { type: "number", step: "any", "aria-label": label });
    [this.low, this.high] = [number("lowest value of the colours"), number("highest value of the colours")];
    for (const input of [this.low, this.high]) {
      input.addEventListener("change", () => {
        app.limit([Number(this.low.value), Number(this.high.value)]);
      });
    }
    this.reset = element("button", { type: "button", title: "limits as at first" }, "Reset");
    this.reset.addEventListener("click", () => app.choose(app.map));
    this.bar = element("canvas", { width: 256, height: 1, class: "bar", "aria-hidden": "true" });
    this.caption = element("p", { class: "about" });
    this.kinds = element("ul", { class: "kinds" });
    this.scale = element("div", { class: "colourbar" }, this.low, this.bar, this.high, this.reset);
    this.panel = app.panel("Map", element("div", { class: "tools" }, this.select, this.colours),
      this.surface.box, this.scale, this.kinds, this.caption);
  }

  refresh() {
    const { data, map, limits, colours } = this.app, field = data.fields.get(map);
    this.select.value = map;
    this.colours.value = colours;
    this.low.value = String(Number(limits[0].toPrecision(3)));
    this.high.value = String(Number(limits[1].toPrecision(3)));
    this.scale.hidden = field.kinds.length > 0;
    this.colours.hidden = this.scale.hidden;
    this.kinds.replaceChildren(...field.kinds.map((kind, n) => {
      const mark = element("i", {});
      mark.style.background = css(colourOf(n, null, limits, field.kinds.length));
      return element("li", {}, mark, kind);
    }));
    this.caption.textContent = `${field.about}${field.units ? ` (${field.units})` : ""}${
      field.collapsed ? "; collapsed: it says nothing of these data" : ""}`;
    bar(this.bar, table(data, colours));
    super.refresh();
  }

  paint(context) {
    paintField(this, context, this.app.map, this.app.colours, this.app.limits);
  }
}

/** A map in colours: cells of a grid, or points. */
function paintField(view, context, name, colourName, limits) {
  const { data, places, frame } = view.app;
  const values = data.field(name), kinds = data.fields.get(name).kinds.length;
  const colours = table(data, colourName);
  if (!places.isPoints) {
    const size = places.rows * places.columns;
    const cells = new Float32Array(size).fill(NaN);
    cells.set(values.subarray(frame * size, Math.min((frame + 1) * size, places.count)));
    const drawn = pixels(cells, places.rows, places.columns, colours, limits, kinds);
    view.picture(context, drawn, places.extent);
    return;
  }
  for (const place of places.inFrame(frame)) {
    const [x, y] = view.canvasAt(places.at(place));
    context.fillStyle = css(colourOf(values[place], colours, limits, kinds));
    context.beginPath();
    context.arc(x, y, view.radius(), 0, 7);
    context.fill();
  }
}

/** Small pictures of all maps, to choose from. */
export class Strip {
  constructor(app) {
    const shown = app.data.header.fields.filter((field) => !field.optional);
    this.app = app;
    this.views = shown.map((field) => {
      const view = { app, extent: app.extent, isotropic: app.isotropic,
        radius: View.prototype.radius,
        frame: View.prototype.frame, canvasAt: View.prototype.canvasAt,
        picture: View.prototype.picture };
      view.surface = new Surface({ label: field.title, tall: 74, draw: (context) => {
        paintField(view, context, field.name, field.colours, field.limits);
      } });
      view.button = element("button", { type: "button", title: field.about }, view.surface.box,
        element("span", {}, field.title + (field.collapsed ? " (collapsed)" : "")));
      view.button.addEventListener("click", () => app.choose(field.name));
      return { view, name: field.name };
    });
    this.panel = element("div", { class: "strip", role: "group", "aria-label": "all maps" },
      ...this.views.map(({ view }) => view.button));
  }

  refresh(redrawn) {
    for (const { view, name } of this.views) {
      view.button.setAttribute("aria-pressed", String(name === this.app.map));
      if (redrawn) view.surface.redraw();
    }
  }
}

function title(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

