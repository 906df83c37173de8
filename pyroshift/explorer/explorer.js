// The whole: what is shown, pinned and selected, and the panels that show it.

import { Data, Places, fromText, inflated, withUnit } from "./data.js";
import { arrow, choice, element, slider } from "./canvas.js";
import { ImageView, MapView, Strip } from "./field.js";
import { Scatter } from "./scatter.js";
import { Numbers, PlaceView } from "./place.js";
import { MotifView } from "./motifs.js";

const HELP = "Hover to look, click to pin. Drag to select, with Shift to add. "
  + "Arrow keys move the place, Enter pins it, Space selects it, Escape clears the selection.";

class Explorer {
  constructor(root, data, live) {
    Object.assign(this, { root, data, live, frame: 0, place: -1, pinned: false, shape: "lasso" });
    this.places = new Places(data);
    const { picture, windows, fields } = data.header;
    this.extent = picture ? picture.extent : this.places.extent;
    this.isotropic = this.places.units[0] === this.places.units[1];
    const [left, right, bottom, top] = this.extent;
    this.ratio = this.isotropic
      ? Math.min(2.5, Math.max(0.7, Math.abs((right - left) / (bottom - top)))) : 1.3;
    this.perFrame = this.places.count / this.places.frames.length;
    this.windowSize = windows.cut ? [1, 0].map((axis) => windows.shape[axis] * Math.abs(windows.steps[axis])) : null;
    this.selected = new Uint8Array(this.places.count);
    this.selectedCount = 0;
    this.map = (fields.find((field) => !field.collapsed && !field.optional) || fields[0]).name;
    this.asAtFirst();
    this.build();
  }

  /** Colours and limits that suit the map. */
  asAtFirst() {
    const { colours, limits } = this.data.fields.get(this.map);
    [this.colours, this.limits] = [colours, limits];
  }

  build() {
    const { data } = this;
    this.image = new ImageView(this);
    this.mapView = new MapView(this);
    this.scatter = new Scatter(this);
    this.window = new PlaceView(this);
    this.numbers = new Numbers(this);
    this.motifs = new MotifView(this);
    this.strip = new Strip(this);
    const left = data.header.leftOut.map((note) => element("p", { class: "note" }, `Left out: ${note}.`));
    this.root.classList.add("pyroshift-explorer");
    this.root.append(
      element("header", {}, element("h1", {}, data.header.title),
        element("p", { class: "about" }, data.header.model), ...left),
      this.toolbar(), this.strip.panel,
      element("div", { class: "panels" }, this.image.panel, this.mapView.panel, this.scatter.panel,
        this.window.panel, this.numbers.panel, this.motifs.panel),
      element("p", { class: "about help" }, HELP));
    this.mapView.refresh();
    this.strip.refresh(false);
    this.mark([], false);
    this.show(this.first());
  }

  toolbar() {
    const { places } = this;
    const bar = element("div", { class: "toolbar", role: "toolbar", "aria-label": "selection and frames" });
    if (places.frames.length > 1) {
      this.frames = slider("frame", 0, places.frames.length - 1, 1, 0,
        (n) => places.frames[n], (n) => this.toFrame(n));
      bar.append(this.frames.row);
    }
    const shapes = choice("shape that selects", [["lasso", "lasso"], ["rectangle", "rectangle"]],
      this.shape, (shape) => { this.shape = shape; });
    const button = (text, hint, pressed) => {
      const made = element("button", { type: "button", title: hint }, text);
      made.addEventListener("click", pressed);
      return made;
    };
    this.told = element("output", { "aria-live": "polite" });
    this.pinNote = element("span", { class: "pin" });
    this.copied = button("Copy", "copies the numbers of the selected places, for explorer.selected",
      () => this.copy());
    bar.append(element("label", {}, "Select by ", shapes), this.told,
      button("Clear", "selects nothing", () => this.select([], false)), this.copied, this.pinNote);
    return bar;
  }

  /** A part of the page under its heading. */
  panel(heading, tools, ...content) {
    return element("section", { "aria-label": heading },
      element("div", { class: "heading" }, element("h2", {}, heading), tools), ...content);
  }

  /** Maps to choose from: those that are shown first, then how sure they are. */
  fieldOptions() {
    const named = (field) => [field.name, field.title + (field.collapsed ? " (collapsed)" : ""),
      field.optional ? "how sure" : ""];
    return this.data.header.fields.map(named).sort((a, b) => (a[2] ? 1 : 0) - (b[2] ? 1 : 0));
  }

  /** A place with a window to begin with, in the middle. */
  first() {
    const { slot } = this.data.arrays;
    const middle = this.places.isPoints ? Math.floor(this.places.count / 2)
      : this.places.cell(0, Math.floor(this.places.rows / 2), Math.floor(this.places.columns / 2));
    return slot[middle] >= 0 ? middle : Math.max(0, slot.findIndex((at) => at >= 0));
  }

  show(place) {
    if (place < 0 || place === this.place) return;
    this.place = place;
    const frame = this.places.frameOf(place);
    if (frame !== this.frame) this.toFrame(frame, false);
    for (const view of [this.image, this.mapView, this.scatter]) view.surface.redraw();
    this.window.refresh();
    this.numbers.refresh();
    this.motifs.refresh();
  }

  pin(place) {
    this.pinned = !this.pinned || (place >= 0 && place !== this.place);
    this.pinNote.textContent = this.pinned ? "pinned: click it again to let go" : "";
    this.show(place);
    for (const view of [this.image, this.mapView]) view.surface.redraw();
  }

  toFrame(frame, moves = true) {
    const { places } = this;
    this.frame = frame;
    if (this.frames) this.frames.set(frame);
    this.image.refresh();
    this.mapView.refresh();
    this.strip.refresh(true);
    if (!moves) return;
    const [x, y] = places.at(Math.max(0, this.place));
    this.show(places.near(frame, x, y));
  }

  choose(name) {
    this.map = name;
    this.asAtFirst();
    this.recoloured();
  }

  recolour(name) {
    this.colours = name;
    this.recoloured();
  }

  limit([low, high]) {
    if (Number.isFinite(low) && Number.isFinite(high) && low < high) this.limits = [low, high];
    this.recoloured();
  }

  recoloured() {
    this.mapView.refresh();
    this.scatter.refresh();
    this.strip.refresh(false);
  }

  /** Places that were selected by somebody here, which others are told. */
  select(found, adds) {
    this.mark(found, adds);
    if (this.live) this.live.select(this.selected);
  }

  mark(found, adds) {
    if (!adds) this.selected.fill(0);
    for (const place of found) this.selected[place] = 1;
    this.selectedCount = this.selected.reduce((sum, one) => sum + one, 0);
    this.told.textContent = `${this.selectedCount} of ${this.places.count} places selected`;
    this.image.refresh();
    this.mapView.refresh();
    this.scatter.refresh();
  }

  marked() {
    const found = [];
    this.selected.forEach((one, place) => { if (one) found.push(place); });
    return found;
  }

  /** Numbers of the selected places, as `explorer.selected = [...]` takes them. */
  async copy() {
    const text = `[${this.marked().join(", ")}]`;
    try {
      await navigator.clipboard.writeText(text);
      this.copied.textContent = "Copied";
    } catch {
      window.prompt("Numbers of the selected places, for explorer.selected:", text);
    }
    setTimeout(() => { this.copied.textContent = "Copy"; }, 1500);
  }

  /** What a key does where places are shown; whether it does anything. */
  key(event, beside) {
    const direction = arrow(event);
    if (direction) this.show(beside(...direction));
    else if (event.key === "Enter") this.pin(this.place);
    else if (event.key === "Escape") this.select([], false);
    else if (event.key === " ") {
      const others = this.marked().filter((place) => place !== this.place);
      this.select(this.selected[this.place] ? others : [...others, this.place], false);
    } else return false;
    return true;
  }

  /** Where a place is, in words. */
  where(place) {
    const { kind, names, units, frames, dims } = this.places;
    if (kind === "list") return `${dims[0]} ${place}`;
    const [x, y] = this.places.at(place);
    const frame = frames.length > 1 ? `, ${frames[this.places.frameOf(place)]}` : "";
    const numbered = kind === "points" ? `${dims[0]} ${place}: ` : "";
    return `${numbered}${names[0]} = ${withUnit(y, units[0])}, ${names[1]} = ${withUnit(x, units[1])}${frame}`;
  }
}

/** A page: all data are in the document. */
async function openPage(page) {
  const header = JSON.parse(page.getElementById("header").textContent);
  const buffer = await inflated(fromText(page.getElementById("data").textContent));
  const explorer = new Explorer(page.getElementById("explorer"), new Data(header, buffer), null);
  explorer.mark(header.selected, false);
  window.explorer = explorer;
}

/** A widget of Jupyter's: data come from Python, and so do motifs. */
async function render({ model, el }) {
  const bytes = model.get("data");
  const buffer = await inflated(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const waiting = new Map();
  let number = 0;
  const live = {
    decode: (z, kind) => new Promise((resolve) => {
      waiting.set(++number, resolve);
      model.send({ number, z, kind });
    }),
    select: (mask) => {
      model.set("selected", new DataView(mask.slice().buffer));
      model.save_changes();
    },
  };
  const answered = (message, buffers) => {
    const resolve = waiting.get(message.number);
    waiting.delete(message.number);
    if (!resolve) return;
    if (message.error || !buffers.length) return resolve(null);
    const { buffer: memory, byteOffset, byteLength } = buffers[0];
    return resolve(new Float32Array(memory.slice(byteOffset, byteOffset + byteLength)));
  };
  model.on("msg:custom", answered);
  const explorer = new Explorer(el, new Data(model.get("header"), buffer), live);
  const marked = () => {
    const { buffer: memory, byteOffset, byteLength } = model.get("selected");
    const mask = new Uint8Array(memory, byteOffset, byteLength);
    const found = [];
    mask.forEach((one, place) => { if (one) found.push(place); });
    explorer.mark(found, false);
  };
  marked();
  model.on("change:selected", marked);
  return () => {
    model.off("msg:custom", answered);
    model.off("change:selected", marked);
  };
}

export default { render };
