// The picture to paint: known pixels, and unknown ones.

import { h, roving } from "./dom.js";
import * as paint from "./paint.js";

export class Easel {
  /**
   * @param subject what is shown; "first" lists the numbers of rows that a model in order takes
   * @param symbols levels, −1 where unknown
   * @param calls changed() after a stroke, pointed() after a move, show(canvas) to draw the picture
   */
  constructor(shape, subject, symbols, calls) {
    this.shape = shape;
    this.symbols = symbols;
    this.rows = subject.anything ? null : subject.first;
    this.calls = calls;
    this.cursor = null; // [row, column]
    this.kept = symbols.map((symbol) => Math.max(symbol, 0)); // what unknown rows held
    this.tool = Array(shape.channels).fill(shape.levels - 1); // levels, or null to erase
    this.size = 1;
    this.last = null; // the pixel of the stroke that is being painted
    this.reason = h("p", { class: "note" }, subject.reason);
    this.canvas = h("canvas", {
      tabIndex: 0, role: "application", "aria-roledescription": "picture to paint",
      "aria-label": `Evidence, ${shape.height} rows of ${shape.width} pixels. Arrow keys choose a pixel, space paints it, delete erases it.`,
      onkeydown: (event) => this.key(event),
      onpointerdown: (event) => this.down(event),
      onpointermove: (event) => this.move(event),
      onpointerup: () => this.up(),
      onpointercancel: () => this.up(),
      onfocus: () => { if (!this.cursor) this.point([0, 0]); },
    });
    this.frame = h("div", { class: "easel" }, this.canvas);
    if (shape.width > shape.height) this.frame.style.aspectRatio = Math.min(shape.width / shape.height, 6);
    this.swatches = h("div", { class: "swatches", role: "radiogroup", "aria-label": "Paint" }, this.palette());
    roving(this.swatches, true);
    this.brush = h("select", { "aria-label": "Size of the brush", onchange: () => { this.size = Number(this.brush.value); } },
      [1, 2, 3].map((n) => h("option", { value: n }, `${n} px`)));
    this.boundary = this.rows && this.knownRows(subject.reason);
    if (this.rows) this.restrict(this.rowsKnown());
  }

  // What is known

  isKnown(place) {
    return this.shape.at(0, place).every((dim) => this.symbols[dim] >= 0);
  }

  rowsKnown() {
    let n = 0;
    while (n < this.shape.height && this.isKnown(n * this.shape.width)) n += 1;
    return this.nearest(n);
  }

  /** The number of rows, nearest to n, that the model can be given. */
  nearest(n) {
    return this.rows.reduce((best, other) => (Math.abs(other - n) < Math.abs(best - n) ? other : best));
  }

  restrict(n) {
    const { height, width } = this.shape;
    for (let place = 0; place < height * width; place += 1) {
      for (const dim of this.shape.at(0, place)) this.symbols[dim] = place < n * width ? this.kept[dim] : -1;
    }
  }

  clear() {
    if (this.rows) {
      this.kept.fill(0);
      this.restrict(0);
    } else this.symbols.fill(-1);
    this.changed();
  }

  /** Takes a whole picture; a model in order, as many rows of it as before, or half. */
  replace(whole) {
    this.kept = Int32Array.from(whole);
    if (this.rows) this.restrict(this.rowsKnown() || this.nearest(Math.ceil(this.shape.height / 2)));
    else this.symbols.set(whole);
    this.changed();
  }

  changed() {
    this.draw();
    this.calls.changed();
  }

  // Controls

  knownRows(reason) {
    const slider = h("input", {
      type: "range", min: 0, max: this.shape.height, step: 1, id: "rows",
      oninput: () => { this.restrict(this.nearest(Number(slider.value))); this.reason.textContent = reason; this.changed(); },
    });
    const output = h("output", { for: "rows" });
    this.showRows = () => {
      slider.value = this.rowsKnown();
      output.textContent = `${this.rowsKnown()} of ${this.shape.height}`;
    };
    return h("div", { class: "tools" }, h("label", { for: "rows", class: "small quiet" }, "Known rows"), output, slider, this.reason);
  }

  palette() {
    const { channels, levels } = this.shape;
    const steps = Math.min(levels, 5);
    const all = Array.from({ length: steps }, (_, i) => {
      const level = Math.round((i * (levels - 1)) / (steps - 1));
      const name = i === 0 ? "Black" : i === steps - 1 ? "White" : `Grey, level ${level}`;
      const node = this.swatch(name, "", () => Array(channels).fill(level));
      const [red, green, blue] = paint.colour(this.shape, Array(channels).fill(level), "known");
      node.style.background = `rgb(${red} ${green} ${blue})`;
      return node;
    });
    if (channels === 3) all.push(this.anyColour());
    if (!this.rows) all.push(this.swatch("Eraser: unknown", "eraser", () => null));
    all[steps - 1].tabIndex = 0;
    all[steps - 1].setAttribute("aria-checked", "true");
    return all;
  }

  swatch(name, kind, levels) {
    const node = h("button", {
      type: "button", class: kind, role: "radio", "aria-checked": "false", "aria-label": name, title: name, tabIndex: -1,
      onclick: () => this.choose(node, levels()),
    });
    return node;
  }

  anyColour() {
    const level = (value) => Math.min(this.shape.levels - 1, Math.floor((value * this.shape.levels) / 256));
    const chosen = () => [16, 8, 0].map((shift) => level((parseInt(input.value.slice(1), 16) >> shift) & 255));
    const input = h("input", { type: "color", "aria-label": "Another colour", tabIndex: -1, oninput: () => this.choose(node, chosen()) });
    const node = this.swatch("Another colour", "any", chosen);
    node.append(input);
    return node;
  }

  choose(node, levels) {
    this.tool = levels;
    for (const other of this.swatches.children) {
      other.setAttribute("aria-checked", String(other === node));
      other.tabIndex = other === node ? 0 : -1;
    }
  }

  // Pointer and keyboard

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { height, width } = this.shape;
    const row = Math.floor(((event.clientY - box.top) / box.height) * height);
    const column = Math.floor(((event.clientX - box.left) / box.width) * width);
    return [Math.min(Math.max(row, 0), height - 1), Math.min(Math.max(column, 0), width - 1)];
  }

  down(event) {
    if (event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.stroke(this.last);
    this.point(this.last);
  }

  move(event) {
    const now = this.place(event);
    if (this.last && String(now) !== String(this.last)) {
      // All pixels between two events.
      const steps = Math.max(Math.abs(now[0] - this.last[0]), Math.abs(now[1] - this.last[1]));
      for (let i = 1; i <= steps; i += 1) {
        this.stroke([0, 1].map((axis) => Math.round(this.last[axis] + ((now[axis] - this.last[axis]) * i) / steps)));
      }
      this.last = now;
    }
    if (String(now) !== String(this.cursor)) this.point(now);
  }

  up() {
    if (!this.last) return;
    this.last = null;
    this.changed();
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const [row, column] = this.cursor ?? [0, 0];
    if (step) {
      const { height, width } = this.shape;
      this.point([Math.min(Math.max(row + step[0], 0), height - 1), Math.min(Math.max(column + step[1], 0), width - 1)]);
    } else if (event.key === " " || event.key === "Enter") {
      this.stroke([row, column]);
      this.changed();
    } else if (["Delete", "Backspace", "x"].includes(event.key) && !this.rows) {
      this.set(row, column, null);
      this.changed();
    } else return;
    event.preventDefault();
  }

  point(cursor) {
    this.cursor = cursor;
    this.draw();
    this.calls.pointed();
  }

  stroke([row, column]) {
    const from = -Math.floor((this.size - 1) / 2);
    for (let i = from; i < from + this.size; i += 1) {
      for (let j = from; j < from + this.size; j += 1) this.set(row + i, column + j, this.tool);
    }
    this.draw();
  }

  set(row, column, levels) {
    const { height, width } = this.shape;
    if (row < 0 || column < 0 || row >= height || column >= width) return;
    if (this.rows && row >= this.rowsKnown()) {
      this.reason.textContent = "Unknown rows are drawn by the model. Move “Known rows” to paint further down.";
      return;
    }
    this.shape.at(row, column).forEach((dim, channel) => {
      this.symbols[dim] = levels ? levels[channel] : -1;
      if (levels) this.kept[dim] = levels[channel];
    });
  }

  draw() {
    this.calls.show(this.canvas);
    if (this.rows) {
      paint.closed(this.canvas, this.shape, this.rowsKnown());
      this.showRows();
    }
    paint.ruled(this.canvas, this.shape, this.cursor);
  }
}
