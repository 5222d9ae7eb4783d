// Completions that appear symbol by symbol, in the order in which a model visits them.

import { ask, leave } from "./ask.js";
import { bits, calm, h, say, toast } from "./dom.js";
import * as paint from "./paint.js";

export const COUNT = 16;
const SECONDS = 1.5; // in which those of a fast model appear

export class Completions {
  /** @param calls adopt(symbols) for one that is chosen, drawn() when all are complete */
  constructor(shape, subjects, calls) {
    this.shape = shape;
    this.subjects = subjects;
    this.calls = calls;
    this.turn = 0;
    this.bar = h("i");
    this.sums = subjects.map(() => h("span", { class: "quiet" }));
    this.tiles = subjects.map(() => Array.from({ length: COUNT }, () => ({ canvas: h("canvas"), symbols: new Int32Array(shape.dims).fill(-1), waiting: [] })));
    this.grids = this.tiles.map((tiles) => h("div", { class: "tiles", role: "group", "aria-label": "Completions" }, tiles.map((tile, i) => h("button", {
      type: "button", "aria-label": `Completion ${i + 1}: use it as the evidence`, title: "Use it as the evidence",
      onclick: () => { if (isWhole(tile)) calls.adopt(tile.symbols); },
    }, tile.canvas))));
  }

  /** Those of a model that are complete. */
  whole(n) {
    return this.tiles[n].filter(isWhole).map((tile) => tile.symbols);
  }

  /** Forgets them, and shows the evidence alone. */
  blank(symbols) {
    this.turn += 1;
    this.evidence = Int32Array.from(symbols);
    this.bar.style.width = "0";
    for (const sum of this.sums) sum.textContent = "";
    for (const tile of this.tiles.flat()) Object.assign(tile, { symbols: Int32Array.from(symbols), waiting: [] });
    this.redraw();
  }

  /** Draws them anew. */
  async draw(symbols, question) {
    this.blank(symbols);
    const { turn } = this;
    const open = symbols.reduce((sum, symbol) => sum + (symbol < 0), 0);
    this.arrived = 0;
    this.play(turn, open);
    await Promise.all(this.subjects.map((subject, n) => this.listen(subject, n, turn, open, question)));
  }

  async listen(subject, n, turn, open, question) {
    try {
      for await (const event of ask(subject.name, "complete", { ...question, count: COUNT })) {
        if (turn !== this.turn) return;
        for (const [rows, dims, drawn] of event.draw ?? []) {
          dims.forEach((dim, i) => rows.forEach((row, k) => this.tiles[n][row].waiting.push([dim, drawn[i][k]])));
          this.arrived += dims.length * rows.length;
        }
        this.bar.style.width = `${open ? (100 * this.arrived) / (open * COUNT * this.subjects.length) : 100}%`;
        if (event.bits) this.measured(n, event.bits, open);
      }
    } catch (error) {
      toast(error.message, true);
    }
  }

  measured(n, each, open) {
    const mean = each.reduce((sum, value) => sum + value, 0) / COUNT;
    this.sums[n].textContent = open ? `${bits(mean)} bits each on average` : "nothing is left to draw";
    [...this.grids[n].children].forEach((button, i) => { button.title = `${bits(each[i])} bits; use it as the evidence`; });
  }

  /** Shows what has been drawn, no faster than a person can follow. */
  play(turn, open) {
    const speed = calm() ? Infinity : Math.max(1, open / (60 * SECONDS));
    let owed = 0;
    const frame = () => {
      if (turn !== this.turn || !this.bar.isConnected) return;
      owed = Math.min(owed + speed, 1e6);
      const now = Math.floor(owed);
      owed -= now;
      this.tiles.forEach((tiles, n) => tiles.forEach((tile) => {
        const part = tile.waiting.splice(0, now);
        for (const [dim, symbol] of part) tile.symbols[dim] = symbol;
        if (part.length) this.redrawn(tile, n);
      }));
      if (!this.tiles.flat().every(isWhole)) {
        requestAnimationFrame(frame);
        return;
      }
      say(`${COUNT} completions are drawn`);
      this.calls.drawn();
    };
    requestAnimationFrame(frame);
  }

  redraw() {
    this.tiles.forEach((tiles, n) => tiles.forEach((tile) => this.redrawn(tile, n)));
  }

  redrawn(tile, n) {
    paint.draw(tile.canvas, this.shape, tile.symbols, (place) => this.how(place, n));
  }

  how(place, n) {
    const known = this.shape.at(0, place).every((dim) => this.evidence[dim] >= 0);
    return known ? "known" : n ? "drawnB" : "drawn";
  }

  /** A PNG of those of the first model. */
  picture() {
    const how = (place) => this.how(place, 0);
    return paint.sheet(this.shape, this.tiles[0].map(({ symbols }) => ({ symbols, frame: 0, how })), Math.sqrt(COUNT));
  }

  end() {
    this.turn += 1;
    leave("complete");
  }
}

const isWhole = (tile) => !tile.waiting.length && tile.symbols.every((symbol) => symbol >= 0);
