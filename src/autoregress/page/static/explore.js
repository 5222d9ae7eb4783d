// The page around a MADE: paint what is known of an image, or set cells of a row.
"use strict";

// ---- The page: what images and tables share -------------------------------------------------------

const main = document.getElementById("main");
const BITS = 1 / Math.LN2;
const percent = (p) => (p >= 0.1 ? `${(100 * p).toFixed(0)} %` : `${(100 * p).toPrecision(2)} %`);
const say = (text) => (document.getElementById("said").textContent = text);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// An element with attributes (listeners are functions) and children.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Bars of probabilities on a canvas, the chosen one in another colour.
function drawBars(canvas, table, chosen, labels = null) {
  const ratio = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  const foot = labels ? 20 : 2, most = Math.max(...table), each = width / table.length;
  const gap = each > 6 ? 2 : each > 3 ? 1 : 0;
  table.forEach((p, k) => {
    const h = Math.max((p / most) * (height - foot - 4), p > 0 ? 1 : 0);
    g.fillStyle = colour(k === chosen ? "--warm" : "--blue");
    g.fillRect(k * each + gap / 2, height - foot - h, Math.max(each - gap, 0.5), h);
  });
  g.fillStyle = colour("--line");
  g.fillRect(0, height - foot, width, 1);
  if (!labels) return;
  g.fillStyle = colour("--soft");
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "bottom";
  for (const [share, align] of [[0, "left"], [0.5, "center"], [1, "right"]]) {
    g.textAlign = align;
    g.fillText(labels[Math.round(share * (labels.length - 1))], share * width, height);
  }
}

// The evidence in the address: dim.symbol, joined by "-".
function fromAddress() {
  const x = new Array(made.dims).fill(-1);
  for (const pair of location.hash.slice(1).split("-")) {
    const [dim, symbol] = pair.split(".").map(Number);
    if (dim in x && symbol >= 0 && symbol < made.kinds[dim].size) x[dim] = symbol;
  }
  return x;
}

function toAddress(x) {
  const pairs = x.flatMap((symbol, dim) => (symbol < 0 ? [] : [`${dim}.${symbol}`]));
  history.replaceState(null, "", `#${pairs.join("-")}`);
}

function sampler(seed) {
  return () => {
    // mulberry32, so that the first picture is the same for everybody
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// ---- Images --------------------------------------------------------------------------------------

class ImagePage {
  static DRAWS = 8;

  constructor({ height, width, levels }) {
    Object.assign(this, { height, width, levels, brush: levels - 1, erasing: false, at: null });
    this.x = fromAddress();
    if (this.x.every((symbol) => symbol < 0)) this.example(25);
    document.documentElement.style.setProperty("--shape", `${width} / ${height}`);
    document.getElementById("about").textContent =
      "Paint the pixels that you know. Each other pixel shows what the model expects of it (blue), " +
      "given those; below are whole images drawn from the model.";
    this.canvas = make("canvas", {
      class: "paint", tabindex: "0", role: "application",
      "aria-label": "Image. Arrows move, space paints, delete makes a pixel unknown.",
      pointerdown: (e) => this.press(e),
      pointermove: (e) => this.move(e),
      pointerleave: () => this.point(null),
      keydown: (e) => this.key(e),
    });
    this.swatch = make("span", { class: "swatch" });
    this.slider = make("input", {
      type: "range", min: "0", max: String(levels - 1), value: String(this.brush),
      "aria-label": "Level of the brush",
      input: () => this.choose({ brush: Number(this.slider.value), erasing: false }),
    });
    this.eraser = make("button", {
      "aria-pressed": "false", click: () => this.choose({ erasing: !this.erasing }),
    }, "Eraser");
    this.view = make("select", { "aria-label": "What unknown pixels show", change: () => this.paint() },
      make("option", { value: "mean" }, "expected level"),
      make("option", { value: "entropy" }, "uncertainty"));
    this.bars = make("canvas", { class: "bars", role: "img" });
    this.heading = make("h2");
    this.numbers = {};
    const number = (name, title) =>
      make("div", {}, make("dt", {}, title), (this.numbers[name] = make("dd", {}, "–")));
    this.draws = Array.from({ length: ImagePage.DRAWS }, () =>
      make("canvas", { width: String(width), height: String(height), role: "img",
        "aria-label": "An image drawn from the model" }));
    main.append(make("div", { class: "image" },
      make("section", { class: "card", "aria-label": "What is known" },
        this.canvas,
        make("div", { class: "tools" },
          make("div", { class: "row" },
            make("label", { class: "brush" }, this.swatch, this.slider), this.eraser),
          make("div", { class: "row" },
            make("button", { click: () => this.set(this.x.map(() => -1)) }, "Clear"),
            make("button", { click: () => { this.example(); this.update(); } }, "Example"),
            make("label", { class: "row soft" }, "unknown pixels:", this.view)))),
      make("div", { class: "side" },
        make("section", { class: "card", "aria-label": "One pixel" },
          this.heading, this.bars,
          make("dl", { class: "numbers" },
            number("known", "pixels known"),
            number("bits", "their bits"),
            number("entropy", "bits of this pixel"),
            number("symbol", "its surprise"))),
        make("section", { class: "card", "aria-label": "Images drawn from the model" },
          make("h2", { class: "title" }, "Drawn given what is known",
            make("button", { click: () => this.redraw() }, "Draw again")),
          make("div", { class: "draws" }, ...this.draws)))));
    addEventListener("hashchange", () => { this.x = fromAddress(); this.update(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.choose({});
      this.show();
      this.redraw();
    });
    addEventListener("resize", () => this.show());
    this.choose({});
    this.update();
  }

  // The upper half of an image drawn from the model.
  example(seed = Math.floor(Math.random() * 2 ** 31)) {
    const x = new Array(made.dims).fill(-1);
    for (const [dim, symbol] of made.complete(x, undefined, sampler(seed))) x[dim] = symbol;
    this.x = x.map((symbol, dim) => (dim < made.dims / 2 ? symbol : -1));
  }

  set(x) {
    this.x = x;
    this.update();
  }

  // What follows from the evidence: computed in one go, a few milliseconds for a small model.
  update() {
    toAddress(this.x);
    this.each = made.given(this.x);
    this.tables = this.x.map((symbol, dim) =>
      symbol >= 0 ? null : mean(this.each, (own) => own.chain.table(dim)));
    const known = this.x.filter((symbol) => symbol >= 0).length;
    this.numbers.known.textContent = `${known} of ${made.dims}`;
    this.numbers.bits.textContent = known ? (-made.logProb(this.x) * BITS).toFixed(1) : "–";
    this.show();
    this.redraw();
  }

  show() {
    this.point(this.at);
  }

  shade(symbol) {
    return symbol / (this.levels - 1);
  }

  paint() {
    const g = pixels(this.canvas, this.width, this.height), entropyView = this.view.value === "entropy";
    this.x.forEach((symbol, dim) => {
      const table = this.tables[dim];
      const strength = !table ? this.shade(symbol)
        : entropyView ? entropy(table) / Math.log(this.levels)
        : sum(table.map((p, k) => p * this.shade(k)));
      fill(g, dim % this.width, Math.floor(dim / this.width), strength,
        table ? "--drawn" : "--dark", table ? 0.1 : 0);
    });
    const across = this.canvas.width / this.width;
    this.x.forEach((symbol, dim) => {
      // A dot in the corner of each known pixel, as a white one is known too.
      if (symbol < 0) return;
      g.fillStyle = colour("--soft");
      g.fillRect((dim % this.width + 0.06) * across, (Math.floor(dim / this.width) + 0.06) * across,
        across * 0.07, across * 0.07);
    });
    const [left, top] = [this.shown % this.width, Math.floor(this.shown / this.width)];
    g.strokeStyle = colour("--warm");
    g.lineWidth = Math.max(2, across * 0.05);
    g.strokeRect(left * across + 2, top * across + 2, across - 4, across - 4);
  }

  // Shows the distribution of a pixel, by default of the most uncertain one.
  point(dim) {
    this.at = dim;
    const spread = this.tables.map((table) => (table ? entropy(table) : -1));
    const shown = (this.shown = dim ?? spread.indexOf(Math.max(...spread)));
    this.paint();
    const table = this.tables[shown] || made.conditional(shown, this.x);
    const place = `row ${Math.floor(shown / this.width) + 1}, column ${(shown % this.width) + 1}`;
    this.heading.textContent =
      this.x[shown] >= 0 ? `The pixel in ${place}, given the others`
      : dim === null ? `The least certain pixel: ${place}` : `The pixel in ${place}`;
    drawBars(this.bars, table, this.x[shown], table.map((_, k) => String(k)));
    const likeliest = table.indexOf(Math.max(...table));
    const said = `${place}: level ${likeliest} most likely, ${percent(table[likeliest])}`;
    this.bars.setAttribute("aria-label", `Probabilities of the levels. ${said}`);
    this.numbers.entropy.textContent = (entropy(table) * BITS).toFixed(2);
    this.numbers.symbol.textContent =
      this.x[shown] < 0 ? "–" : (-Math.log(table[this.x[shown]]) * BITS).toFixed(2);
    return said;
  }

  dimAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = Math.floor(((event.clientX - box.left) / box.width) * this.width);
    const down = Math.floor(((event.clientY - box.top) / box.height) * this.height);
    const inside = across >= 0 && down >= 0 && across < this.width && down < this.height;
    return inside ? down * this.width + across : null;
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.put(this.dimAt(event));
  }

  move(event) {
    const dim = this.dimAt(event);
    if (event.buttons & 1) this.put(dim);
    else this.point(dim);
  }

  put(dim, symbol = this.erasing ? -1 : this.brush) {
    if (dim === null || this.x[dim] === symbol) return;
    this.at = dim;
    this.set(this.x.map((own, d) => (d === dim ? symbol : own)));
  }

  key(event) {
    const at = this.at ?? 0, column = at % this.width;
    const to = { ArrowLeft: column ? at - 1 : at, ArrowRight: column < this.width - 1 ? at + 1 : at,
      ArrowUp: at - this.width, ArrowDown: at + this.width }[event.key];
    if (to !== undefined && to >= 0 && to < made.dims) say(this.point(to));
    else if (event.key === " ") this.put(at, this.erasing ? -1 : this.brush);
    else if (["Delete", "Backspace"].includes(event.key)) this.put(at, -1);
    else return;
    event.preventDefault();
  }

  choose(changes) {
    Object.assign(this, changes);
    this.eraser.setAttribute("aria-pressed", String(this.erasing));
    this.swatch.style.background = mixed(this.shade(this.brush), "--dark");
  }

  // Draws images pixel by pixel, in the order in which the model visits them.
  redraw() {
    const steps = this.draws.map(() => made.complete(this.x, this.each));
    this.draws.forEach((canvas) => {
      const g = canvas.getContext("2d");
      this.x.forEach((symbol, dim) => {
        const strength = symbol < 0 ? 0 : this.shade(symbol);
        fill(g, dim % this.width, Math.floor(dim / this.width), strength, "--dark", symbol < 0 ? 0.15 : 0);
      });
    });
    const frame = {};
    this.frame = frame; // ends an older animation
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const each = still ? made.dims : Math.max(1, Math.round(made.dims / 64));
    const next = () => {
      if (this.frame !== frame) return;
      let going = false;
      for (let n = 0; n < each; n++)
        steps.forEach((step, i) => {
          const { value, done } = step.next();
          if (done) return;
          going = true;
          const [dim, symbol] = value;
          fill(this.draws[i].getContext("2d"), dim % this.width, Math.floor(dim / this.width),
            this.shade(symbol), "--drawn", 0);
        });
      if (going) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }
}

const entropy = (table) => -sum(table.map((p) => (p > 0 ? p * Math.log(p) : 0)));

function pixels(canvas, width, height) {
  const scale = Math.max(1, Math.round(512 / Math.max(width, height)));
  if (canvas.width !== width * scale) [canvas.width, canvas.height] = [width * scale, height * scale];
  return canvas.getContext("2d");
}

// Ink of a strength from 0 to 1 on paper, which unknown pixels tint.
function mixed(strength, ink, tint = 0) {
  const of = (name) => colour(name).split(",").map(Number);
  const paper = of("--paper"), drawn = of("--drawn"), full = of(ink);
  const under = paper.map((p, i) => (1 - tint) * p + tint * drawn[i]);
  return `rgb(${under.map((u, i) => Math.round((1 - strength) * u + strength * full[i])).join(",")})`;
}

function fill(g, across, down, strength, ink, tint) {
  const side = g.canvas.width / Number(page.image.width);
  g.fillStyle = mixed(strength, ink, tint);
  g.fillRect(across * side, down * side, side, side);
}

// ---- Tables --------------------------------------------------------------------------------------

class TablePage {
  constructor(columns) {
    this.columns = columns;
    this.x = fromAddress();
    document.getElementById("about").textContent =
      "Set what is known: choose a label, or click a bar. The distributions of all other columns " +
      "follow, exactly, whichever are known.";
    this.bits = make("span", { class: "figure" });
    this.drawn = make("tbody");
    this.cards = columns.map((column, dim) => this.card(column, dim));
    main.append(
      make("div", { class: "row", style: "margin-bottom: 1rem" },
        make("button", { click: () => this.set(this.x.map(() => -1)) }, "Clear"),
        make("button", { click: () => this.row() }, "Draw a row"), this.bits),
      make("div", { class: "columns" }, ...this.cards.map((card) => card.element)),
      make("section", { class: "card", style: "margin-top: 1rem", "aria-label": "Rows drawn" },
        make("h2", {}, "Rows drawn given what is known"),
        make("div", { class: "scroll", tabindex: "0" },
          make("table", {},
            make("thead", {}, make("tr", {}, ...columns.map((c) => make("th", {}, c.name)))),
            this.drawn))));
    addEventListener("hashchange", () => this.set(fromAddress()));
    addEventListener("resize", () => this.cards.forEach((card) => card.show()));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.cards.forEach((card) => card.show()));
    this.set(this.x);
    for (let i = 0; i < 3; i++) this.row();
  }

  // The card of a column: choices of labels, or a histogram with a slider.
  card(column, dim) {
    const free = make("button", { click: () => this.put(dim, -1),
      "aria-label": `${column.name}: unknown` }, "clear");
    const note = make("p", { class: "soft figure" });
    const card = { table: null };
    let body;
    if (column.starts) {
      const bars = make("canvas", { class: "bars", role: "img",
        click: (e) => {
          const box = bars.getBoundingClientRect();
          const share = Math.min(Math.max((e.clientX - box.left) / box.width, 0), 1);
          this.put(dim, symbolOf(column, column.low + share * (column.high - column.low)));
        } });
      const slider = make("input", { type: "range", min: String(column.low), max: String(column.high),
        "aria-label": column.name,
        input: () => this.put(dim, symbolOf(column, Number(slider.value))) });
      const ends = [0, 0.5, 1].map((share) =>
        textOf(column, Math.round(column.low + share * (column.high - column.low))));
      body = [bars, slider];
      card.show = () => {
        if (!card.table) return;
        const known = this.x[dim];
        const [low, middle, high] = [0.05, 0.5, 0.95].map((q) => quantile(card.table, q));
        const at = middleOf(column, known < 0 ? middle : known);
        const { heights, place } = evenly(column, card.table, at);
        drawBars(bars, heights, known < 0 ? -1 : place, ends);
        if (document.activeElement !== slider) slider.value = String(at);
        slider.setAttribute("aria-valuetext", known < 0 ? "unknown" : column.texts[known]);
        const average = column.numbers &&
          sum(card.table.map((p, k) => p * column.numbers[k])).toFixed(Math.max(column.decimals, 0) + 1);
        const expected = `${average ? `mean ${average}, ` : ""}median ${column.texts[middle]}, ` +
          `90 % from ${column.texts[low]} to ${column.texts[high]}`;
        bars.setAttribute("aria-label", `${column.name}: ${expected}`);
        note.textContent = known < 0 ? expected
          : `${column.texts[known]}: ${this.surprise(card.table[known])}; ${expected}`;
      };
    } else {
      const choices = column.texts.map((text, k) => {
        const bar = make("i"), share = make("span", { class: "figure" });
        const button = make("button", { class: "choice",
          click: () => this.put(dim, this.x[dim] === k ? -1 : k) },
          bar, make("span", {}, text), share);
        return { button, bar, share };
      });
      body = [make("div", { class: "choices" }, ...choices.map((choice) => choice.button))];
      card.show = () => {
        if (!card.table) return;
        choices.forEach(({ button, bar, share }, k) => {
          bar.style.width = `${100 * card.table[k]}%`;
          share.textContent = percent(card.table[k]);
          button.setAttribute("aria-pressed", String(this.x[dim] === k));
          // What was never seen is shown where it matters.
          const unseen = /^(\(other\)|below|above)/.test(column.texts[k]);
          button.hidden = unseen && card.table[k] < 0.01 && this.x[dim] !== k;
        });
        const known = this.x[dim];
        note.textContent = known < 0 ? "" : this.surprise(card.table[known]);
      };
    }
    card.element = make("section", { class: "card column", "aria-label": column.name },
      make("h2", {}, column.name, free), ...body, note);
    card.free = free;
    return card;
  }

  surprise(p) {
    return `${percent(p)} given the others, ${(-Math.log(p) * BITS).toFixed(1)} bits`;
  }

  put(dim, symbol) {
    this.set(this.x.map((own, d) => (d === dim ? symbol : own)));
  }

  set(x) {
    this.x = x;
    toAddress(x);
    const known = x.filter((symbol) => symbol >= 0).length;
    this.bits.textContent = known
      ? `what is known has ${(-made.logProb(x) * BITS).toFixed(2)} bits` : "nothing is known";
    const turn = {};
    this.turn = turn;
    let dim = 0;
    const next = () => {
      const until = performance.now() + 30;
      while (dim < x.length && performance.now() < until && this.turn === turn) {
        const card = this.cards[dim];
        card.table = made.conditional(dim, x);
        card.element.classList.toggle("known", x[dim] >= 0);
        card.free.style.visibility = x[dim] >= 0 ? "visible" : "hidden";
        card.show();
        dim += 1;
      }
      if (dim < x.length && this.turn === turn) setTimeout(next);
    };
    next();
  }

  // A row drawn given what is known, first in the list.
  row() {
    const full = this.x.slice();
    for (const [dim, symbol] of made.complete(this.x)) full[dim] = symbol;
    this.drawn.prepend(make("tr", {}, ...full.map((symbol, dim) =>
      make("td", this.x[dim] >= 0 ? { class: "given" } : {}, this.columns[dim].texts[symbol]))));
    while (this.drawn.children.length > 10) this.drawn.lastChild.remove();
  }
}

// Numbers lie in bins of unequal width: a histogram of even ones, and which of them holds a number.
function evenly(column, table, at) {
  const range = column.high - column.low + 1, count = Math.min(range, 48);
  const heights = new Array(count).fill(0);
  table.forEach((p, k) => {
    const start = column.starts[k] - column.low, stop = column.stops[k] - column.low + 1;
    for (let i = Math.floor((start * count) / range); i < count; i++) {
      const left = (i * range) / count, right = ((i + 1) * range) / count;
      const shared = Math.min(stop, right) - Math.max(start, left);
      if (shared <= 0) break;
      heights[i] += (p * shared) / (stop - start);
    }
  });
  return { heights, place: Math.min(count - 1, Math.floor(((at - column.low) * count) / range)) };
}

const middleOf = (column, symbol) => Math.round((column.starts[symbol] + column.stops[symbol]) / 2);

function symbolOf(column, number) {
  // Beyond the range that was seen there are symbols too, which nobody means here.
  const whole = Math.round(number);
  const inside = column.stops.findIndex((stop, k) => column.starts[k] <= whole && whole <= stop &&
    !/^(below|above)/.test(column.texts[k]));
  return inside < 0 ? column.stops.findIndex((stop) => whole <= stop) : inside;
}

function textOf(column, whole) {
  if (column.decimals === undefined) return column.texts[symbolOf(column, whole)];
  return (whole * 10 ** -column.decimals).toFixed(Math.max(column.decimals, 0));
}

// The first level up to which a share of the probability lies.
function quantile(table, share) {
  let upto = 0;
  for (let k = 0; k < table.length; k++) if ((upto += table[k]) >= share) return k;
  return table.length - 1;
}

if (page.image) new ImagePage(page.image);
else new TablePage(page.columns);
