// One pixel: its whole distribution under each model, and how surprising it is.

import { bars, chart } from "./chart.js";
import { h, percent, say, short } from "./dom.js";
import * as paint from "./paint.js";

export class PixelPanel {
  constructor(shape, subjects) {
    this.shape = shape;
    this.subjects = subjects;
    this.title = h("h2");
    this.content = h("div");
    this.node = h("section", { class: "panel pixel", "aria-label": "Pixel" }, h("div", { class: "head" }, this.title), this.content);
    this.empty();
  }

  empty() {
    this.title.textContent = "Pixel";
    this.content.replaceChildren(h("p", { class: "quiet small" }, "Point at a pixel, or move to it with the arrow keys, to see its whole distribution."));
  }

  /**
   * @param symbols the evidence
   * @param answers what each model says of the evidence, and of the pixel
   */
  show([row, column], symbols, answers) {
    this.title.textContent = `Pixel at row ${row + 1}, column ${column + 1}`;
    const pixels = answers.map((answer) => answer.pixel);
    if (pixels.some((each) => each?.row !== row || each?.column !== column)) return; // on their way
    const failed = pixels.find((each) => each.reason);
    if (failed) {
      this.content.replaceChildren(h("p", { class: "quiet small" }, failed.reason));
      return;
    }
    const dims = this.shape.at(row, column);
    const values = dims.map((dim) => (symbols[dim] >= 0 ? symbols[dim] : null));
    const names = this.shape.channels === 3 ? ["Red", "Green", "Blue"] : [""];
    const [{ channels: [{ bars: first }] }] = pixels;
    const state = values[0] === null ? "unknown" : values.length > 1 ? `levels ${values.join(", ")}` : `level ${values[0]}`;
    say(`Row ${row + 1}, column ${column + 1}, ${state}: ${this.words(first)}`, "pixel");
    this.content.replaceChildren(
      ...names.map((name, channel) => this.channel(name, channel, pixels.map((each) => each.channels[channel]), values[channel])),
      h("dl", { class: "facts" }, this.facts(dims, values, answers).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      h("p", { class: "note" }, `${pixels[0].exact ? "Exact" : "Not exact"}: ${pixels[0].how}.`));
  }

  words(p) {
    if (this.shape.levels === 2) return `white with probability ${short(p[1])}`;
    const likeliest = p.indexOf(Math.max(...p));
    return `likeliest level ${likeliest}, with probability ${short(p[likeliest])}`;
  }

  channel(name, channel, each, value) {
    const { levels } = this.shape;
    const svg = chart(name ? 84 : 150);
    bars(svg, each.map(({ bars: values, error: errors }, n) => ({ values, errors, kind: n ? "b" : "" })), {
      is: value, marks: value !== null && levels > 32 ? [value + 0.5] : [], label: `${name} ${this.words(each[0].bars)}`,
    });
    return h("div", { class: "channel plot" }, name && h("h3", { class: "small quiet" }, name), svg, this.ramp(channel),
      h("div", { class: "ticks" }, h("span", {}, levels === 2 ? "black" : "0"), h("span", {}, levels === 2 ? "white" : String(levels - 1))));
  }

  /** The colours of the levels below the bars. */
  ramp(channel) {
    const { channels, levels } = this.shape;
    const steps = Math.min(levels, 32);
    return h("div", { class: "levels", "aria-hidden": "true" }, Array.from({ length: steps }, (_, i) => {
      const level = Math.round((i * (levels - 1)) / (steps - 1));
      const cell = h("i");
      const [red, green, blue] = paint.colour(this.shape, Array.from({ length: channels }, (__, c) => (channels === 1 || c === channel ? level : 0)), "known");
      cell.style.background = `rgb(${red} ${green} ${blue})`;
      return cell;
    }));
  }

  facts(dims, values, answers) {
    const several = this.subjects.length > 1;
    return answers.flatMap((answer, n) => {
      const name = (what) => (several ? `${what}, ${this.subjects[n].name}` : what);
      const facts = [];
      if (dims.length === 1) {
        const p = answer.pixel.channels[0].bars;
        facts.push(this.shape.levels === 2 ? [name("White"), percent(p[1])] : [name("Expected"), short(p.reduce((sum, each, level) => sum + each * level, 0))]);
      }
      const nats = (each) => `${short(dims.reduce((sum, dim) => sum + each[dim], 0))} nats`;
      if (values[0] !== null && answer.nats) facts.push([name("Surprise"), nats(answer.nats)]);
      if (values[0] !== null && answer.rest) facts.push([name("given the others"), nats(answer.rest)]);
      return facts;
    });
  }
}
