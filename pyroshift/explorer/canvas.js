// Elements, canvases that know their size, and what pointers and keys do on them.

/** An element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** A choice among options, each [value, text, group]. */
export function choice(label, options, value, changed) {
  const select = element("select", { "aria-label": label });
  const groups = new Map();
  for (const [key, text, group] of options) {
    const option = element("option", { value: String(key) }, text);
    if (group && !groups.has(group)) {
      groups.set(group, element("optgroup", { label: group }));
      select.append(groups.get(group));
    }
    (group ? groups.get(group) : select).append(option);
  }
  select.value = String(value);
  select.addEventListener("change", () => changed(select.value));
  return select;
}

/** A slider with its label and what it stands at. */
export function slider(label, least, greatest, step, value, told, changed) {
  const output = element("output", {}, told(value));
  const input = element("input", {
    type: "range", min: String(least), max: String(greatest), step: String(step), "aria-label": label,
  });
  input.value = String(value);
  const set = (number) => {
    input.value = String(number);
    output.textContent = told(number);
  };
  input.addEventListener("input", () => {
    output.textContent = told(Number(input.value));
    changed(Number(input.value));
  });
  const row = element("label", { class: "slider" }, element("span", {}, label), input, output);
  return { row, input, set };
}

/** A canvas that fills its box, sharp on any screen, drawn again when its size changes. */
export class Surface {
  constructor({ label, ratio = 1, role = "img", tall = null, draw }) {
    this.canvas = element("canvas", { "aria-label": label, role });
    this.box = element("div", { class: "surface" }, this.canvas);
    if (tall) this.box.style.height = `${tall}px`;
    else this.box.style.aspectRatio = String(ratio);
    this.context = this.canvas.getContext("2d");
    this.draw = draw;
    new ResizeObserver(() => this.resized()).observe(this.box);
  }

  resized() {
    const { width, height } = this.box.getBoundingClientRect();
    if (!width || !height) return;
    const scale = window.devicePixelRatio || 1;
    [this.width, this.height, this.scale] = [width, height, scale];
    [this.canvas.width, this.canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    this.redraw();
  }

  redraw() {
    if (!this.width) return;
    this.context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.draw(this.context, this.width, this.height);
  }

  /** Draw what changes seldom, painted once and kept as a picture until `forget`. */
  drawKept(paint) {
    const { canvas, scale } = this;
    if (!this.kept || this.kept.width !== canvas.width || this.kept.height !== canvas.height) {
      this.kept = element("canvas");
      [this.kept.width, this.kept.height] = [canvas.width, canvas.height];
      const context = this.kept.getContext("2d");
      context.setTransform(scale, 0, 0, scale, 0, 0);
      paint(context);
    }
    this.context.drawImage(this.kept, 0, 0, this.width, this.height);
  }

  /** Paint anew what is kept, and draw. */
  forget() {
    this.kept = null;
    this.redraw();
  }

  /** Where an event is, in the canvas's own pixels. */
  at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  /** Hovering, clicking, dragging and keys. */
  listen({ hover, click, drag, dropped, key, leave }) {
    const canvas = this.canvas;
    canvas.tabIndex = 0;
    let from = null, moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = this.at(event);
      moved = false;
      canvas.setPointerCapture(event.pointerId);
      if (drag) drag([from], event, false);
    });
    const trail = [];
    canvas.addEventListener("pointermove", (event) => {
      const at = this.at(event);
      if (!from) return hover && hover(at, event);
      if (!moved) trail.splice(0, trail.length, from);
      moved = moved || Math.hypot(at[0] - from[0], at[1] - from[1]) > 4;
      if (!moved) return;
      trail.push(at);
      if (drag) drag(trail, event, true);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!from) return;
      if (moved && dropped) dropped(trail, event);
      else if (!moved && click) click(this.at(event), event);
      from = null;
    });
    canvas.addEventListener("pointercancel", () => { from = null; if (dropped) dropped([], null); });
    canvas.addEventListener("pointerleave", () => { if (!from && leave) leave(); });
    canvas.addEventListener("keydown", (event) => {
      if (key && key(event)) event.preventDefault();
    });
  }
}

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/** The direction of an arrow key, [right, down]; undefined for others. */
export function arrow(event) {
  return ARROWS[event.key];
}

/** What was dragged over: a rectangle's corners, or the line itself. */
export function outline(trail, shape) {
  if (shape === "lasso") return trail;
  const [ax, ay] = trail[0], [bx, by] = trail[trail.length - 1];
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

export function drawOutline(context, line) {
  context.beginPath();
  line.forEach(([x, y]) => context.lineTo(x, y));
  context.closePath();
  context.fillStyle = "rgba(255,140,0,0.18)";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#b35f00";
  context.stroke();
}

/** A ring in a colour, seen on any ground. */
export function drawRing(context, [x, y], radius, colour, line) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  for (const [stroke, width] of [["white", 2 * line], [colour, line]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.stroke();
  }
}

/** The largest round number up to a limit: 1, 2 or 5 times a power of ten. */
export function roundBelow(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  return [5, 2, 1].find((factor) => factor * power <= limit) * power;
}

/** Round values between two, about so many. */
export function ticks(low, high, about = 4) {
  const raw = (high - low) / about;
  if (!(raw > 0) || !Number.isFinite(raw)) return [];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.7);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * step; n++) found.push(n * step);
  return found;
}
