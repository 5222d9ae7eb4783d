// Images: paint evidence, watch completions, see what surprises and what each pixel may be.

import { ask, first, leave, upload } from "./ask.js";
import { bars, chart } from "./chart.js";
import { bits, calm, h, later, percent, roving, save, say, short, toast } from "./dom.js";
import * as paint from "./paint.js";
import * as state from "./state.js";

const COUNT = 16;
const SECONDS = 1.5; // in which the completions of a small model appear
const AUTOMATIC = 4096; // dimensions up to which completions are drawn without being asked for

export function images(host, subjects) {
  const [subject] = subjects;
  const shape = new paint.Shape(subject.shape, subject.levels);
  const rows = subject.anything ? null : subject.first;
  const small = shape.dims <= AUTOMATIC;
  let symbols = state.unpacked(state.get("x") ?? "", shape.dims, shape.levels) ?? new Int32Array(shape.dims).fill(-1);
  let kept = Int32Array.from(symbols, (symbol) => Math.max(symbol, 0));
  let label = subject.labels ? state.get("label") ?? subject.labels[0] : null;
  let seed = Number(state.get("seed") ?? 0);
  let view = state.get("view") ?? "evidence";
  let alone = state.get("rest") === "1"; // surprise given all other pixels
  let cursor = null; // [row, column]
  let tool = Array(shape.channels).fill(shape.levels - 1); // levels, or null to erase
  let size = 1;
  const answers = subjects.map(() => ({})); // what each model says of the evidence
  const tiles = subjects.map(() => []);

  if (subject.labels && !subject.labels.includes(label)) [label] = subject.labels;
  if (rows) restrict(rowsKnown());

  // The evidence

  const canvas = h("canvas", {
    tabIndex: 0, role: "application",
    "aria-roledescription": "picture to paint",
    "aria-label": `Evidence, ${shape.height} rows of ${shape.width} pixels. Arrow keys choose a pixel, space paints it, delete erases it.`,
    onkeydown: key, onpointerdown: down, onpointermove: move, onpointerup: up, onpointercancel: up,
    onpointerleave: () => { if (!painting) hover(null); },
    onfocus: () => { if (!cursor && !pointed) hover([0, 0]); },
  });
  const easel = h("div", { class: "easel" }, canvas);
  const ratio = shape.width / shape.height;
  if (ratio > 1) easel.style.aspectRatio = Math.min(ratio, 6);
  const views = { evidence: "Evidence", expected: "Expected", surprise: "Surprise" };
  const modes = h("div", { class: "segmented", role: "group", "aria-label": "What is shown" },
    Object.entries(views).map(([name, title]) => h("button", {
      type: "button", "data-view": name, "aria-pressed": String(view === name),
      onclick: () => { view = name; state.set({ view: name === "evidence" ? "" : name }); show(); },
    }, title)));
  const swatches = h("div", { class: "swatches", role: "radiogroup", "aria-label": "Paint" }, palette());
  roving(swatches, true);
  const brush = h("select", { "aria-label": "Size of the brush", onchange: () => { size = Number(brush.value); } },
    [1, 2, 3].map((n) => h("option", { value: n }, `${n} px`)));
  const file = h("input", { type: "file", accept: "image/*", id: "picture", onchange: () => take(file.files[0]) });
  const boundary = rows && h("input", {
    type: "range", min: 0, max: shape.height, step: 1, value: rowsKnown(), id: "rows",
    oninput: () => { restrict(nearest(Number(boundary.value))); boundary.value = rowsKnown(); changed(); },
  });
  const boundaryText = h("output", { for: "rows" });
  const total = h("div", { class: "totals", "aria-live": "off" });
  const scale = h("div", { class: "scale", hidden: true });
  const note = h("p", { class: "note" }, subject.reason);
  const example = h("button", { type: "button", class: "plain", onclick: another },
    subject.examples ? "An example" : "A sample");

  // Completions

  const again = h("button", { type: "button", class: "plain strong", onclick: () => { seed += 1; state.set({ seed }); complete(); } }, "Draw again");
  const grids = subjects.map((_, n) => h("div", { class: "tiles", role: "group", "aria-label": "Completions" },
    Array.from({ length: COUNT }, (_, i) => {
      const own = h("canvas");
      own.width = own.height = 8;
      tiles[n].push({ canvas: own, symbols: Int32Array.from(symbols), queue: [] });
      return h("button", { type: "button", "aria-label": `Completion ${i + 1}: use it as the evidence`, title: "Use it as the evidence", onclick: () => adopt(n, i) }, own);
    })));
  const sums = subjects.map(() => h("span", { class: "quiet" }));
  const bar = h("i");
  const picture = h("button", { type: "button", class: "plain", onclick: export_ }, "Save picture");

  // The pixel

  const where = h("h2", {}, "Pixel");
  const what = h("div", { class: "about" });

  const labels = subject.labels && h("label", { class: "small quiet" }, "Given ",
    h("select", { onchange: (event) => { label = event.target.value; state.set({ label }); changed(); } },
      subject.labels.map((name) => h("option", { value: name, selected: name === label }, name))));

  host.replaceChildren(h("div", { class: "images" },
    h("section", { class: "panel evidence", "aria-label": "Evidence" },
      h("div", { class: "head" }, modes, h("div", { class: "side" }, labels)),
      easel,
      rows && h("div", { class: "tools" }, h("label", { for: "rows", class: "small quiet" }, "Known rows"), boundaryText, boundary, note),
      h("div", { class: "tools" }, swatches, brush),
      h("div", { class: "tools" }, h("button", { type: "button", class: "plain", onclick: clear }, "Clear"),
        example, file, h("label", { class: "plain", for: "picture" }, "Import…")),
      scale, total),
    h("section", { class: "panel completions", "aria-label": "Completions" },
      h("div", { class: "head" }, h("h2", {}, "Completions"), h("div", { class: "side" }, picture, again)),
      subjects.map((own, n) => [
        subjects.length > 1 && h("p", { class: "tiles-title" }, h("span", { class: n ? "b key" : "a key" }, own.name), sums[n]),
        grids[n],
      ].filter(Boolean)),
      h("div", { class: "thin", "aria-hidden": "true" }, bar),
      h("p", { class: "legend" }, h("span", { class: "known" }, h("b"), "known"), h("span", { class: "drawn" }, h("b"), "drawn"),
        h("span", { class: "open" }, h("b"), "not yet"), subjects.length === 1 ? sums[0] : null)),
    h("section", { class: "panel pixel", "aria-label": "Pixel" }, h("div", { class: "head" }, where), what)));

  // What is fixed

  function palette() {
    const steps = Math.min(shape.levels, 5);
    const names = steps === 2 ? ["Black", "White"] : null;
    const all = Array.from({ length: steps }, (_, i) => {
      const level = Math.round((i * (shape.levels - 1)) / (steps - 1));
      const name = names ? names[i] : i === 0 ? "Black" : i === steps - 1 ? "White" : `Grey, level ${level}`;
      return swatch(Array(shape.channels).fill(level), name);
    });
    if (shape.channels === 3) {
      const input = h("input", { type: "color", "aria-label": "Another colour", oninput: () => {
        const value = parseInt(input.value.slice(1), 16);
        choose([16, 8, 0].map((shift) => Math.min(shape.levels - 1, Math.floor((((value >> shift) & 255) * shape.levels) / 256))), input.parentElement);
      } });
      all.push(h("button", { type: "button", class: "any", role: "radio", "aria-checked": "false", tabIndex: -1, title: "Another colour" }, input));
    }
    if (!rows) all.push(h("button", { type: "button", class: "eraser", role: "radio", "aria-checked": "false", "aria-label": "Eraser: unknown", title: "Eraser: unknown", tabIndex: -1, onclick: (event) => choose(null, event.currentTarget) }));
    return all;
  }

  function swatch(levels, name) {
    const on = levels.every((level, i) => level === tool[i]);
    const node = h("button", { type: "button", role: "radio", "aria-checked": String(on), "aria-label": name, title: name, tabIndex: on ? 0 : -1, onclick: () => choose(levels, node) });
    const [red, green, blue] = paint.colour(shape, levels, "known");
    node.style.background = `rgb(${red} ${green} ${blue})`;
    return node;
  }

  function choose(levels, node) {
    tool = levels;
    for (const other of swatches.children) {
      other.setAttribute("aria-checked", String(other === node));
      other.tabIndex = other === node ? 0 : -1;
    }
  }

  function rowsKnown() {
    let n = 0;
    while (n < shape.height && shape.at(n, 0).every((dim) => symbols[dim] >= 0)) n += 1;
    return nearest(n);
  }

  /** The number of rows, nearest to n, that the model can be given. */
  function nearest(n) {
    return rows.reduce((best, other) => (Math.abs(other - n) < Math.abs(best - n) ? other : best));
  }

  function restrict(n) {
    for (let row = 0; row < shape.height; row += 1) {
      for (let column = 0; column < shape.width; column += 1) {
        for (const dim of shape.at(row, column)) symbols[dim] = row < n ? kept[dim] : -1;
      }
    }
  }

  let painting = false;
  let pointed = false;
  let last = null;

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * shape.height);
    const column = Math.floor(((event.clientX - box.left) / box.width) * shape.width);
    return [Math.min(Math.max(row, 0), shape.height - 1), Math.min(Math.max(column, 0), shape.width - 1)];
  }

  function down(event) {
    if (event.button > 0) return;
    pointed = true;
    painting = true;
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last);
    hover(last);
  }

  function move(event) {
    const now = place(event);
    if (painting && String(now) !== String(last)) {
      // All pixels between two events.
      const steps = Math.max(Math.abs(now[0] - last[0]), Math.abs(now[1] - last[1]));
      for (let i = 1; i <= steps; i += 1) {
        stroke([0, 1].map((axis) => Math.round(last[axis] + ((now[axis] - last[axis]) * i) / steps)));
      }
      last = now;
    }
    if (String(now) !== String(cursor)) hover(now);
  }

  function up() {
    if (painting) { painting = false; changed(); }
    pointed = false;
  }

  function stroke([row, column]) {
    const from = -Math.floor((size - 1) / 2);
    for (let i = from; i < from + size; i += 1) {
      for (let j = from; j < from + size; j += 1) set(row + i, column + j, tool);
    }
    painted();
  }

  function set(row, column, levels) {
    if (row < 0 || column < 0 || row >= shape.height || column >= shape.width) return;
    if (rows && row >= rowsKnown()) { note.textContent = `${subject.reason} Move “Known rows” down to paint here.`; return; }
    shape.at(row, column).forEach((dim, channel) => {
      symbols[dim] = levels ? levels[channel] : -1;
      if (levels) kept[dim] = levels[channel];
    });
  }

  function key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const [row, column] = cursor ?? [0, 0];
    if (step) {
      hover([Math.min(Math.max(row + step[0], 0), shape.height - 1), Math.min(Math.max(column + step[1], 0), shape.width - 1)]);
    } else if (event.key === " " || event.key === "Enter") {
      stroke([row, column]);
      changed();
    } else if ((event.key === "Delete" || event.key === "Backspace" || event.key === "x") && !rows) {
      set(row, column, null);
      changed();
    } else return;
    event.preventDefault();
  }

  function clear() {
    if (rows) { kept.fill(0); restrict(0); boundary.value = 0; } else symbols.fill(-1);
    changed();
  }

  async function another() {
    const number = Math.floor(Math.random() * 1e6);
    await trying(async () => {
      const event = await first(ask(subject.name, "example", { number }));
      if (event) replace(shape.symbols(event.x));
    });
  }

  async function take(chosen) {
    if (!chosen) return;
    await trying(async () => {
      const event = await first(upload(subject.name, chosen));
      if (event) replace(shape.symbols(event.x));
    });
    file.value = "";
  }

  function adopt(n, i) {
    const { symbols: drawn } = tiles[n][i];
    if (drawn.every((symbol) => symbol >= 0)) replace(drawn);
  }

  /** Takes a whole picture for the evidence; of what takes rows only, as many rows as before. */
  function replace(whole) {
    kept = Int32Array.from(whole);
    const n = rows ? rowsKnown() : 0;
    if (rows) restrict(n || nearest(Math.ceil(shape.height / 2)));
    else symbols = Int32Array.from(whole);
    changed();
  }

  // What the models say

  function changed() {
    if (boundary) boundary.value = rowsKnown();
    state.set({ x: symbols.some((symbol) => symbol >= 0) ? state.packed(symbols) : "" });
    answers.forEach((answer) => { for (const name of ["expected", "rest"]) delete answer[name]; });
    painted();
    measure();
    soon();
    completing();
  }

  const soon = later(0, () => pixel());
  const completing = later(280, () => {
    if (small) complete();
    else for (const own of tiles.flat()) { own.symbols = Int32Array.from(symbols); own.queue = []; redraw(own, 0); }
  });

  const given = () => shape.given(symbols, label);

  let asked = 0;
  function measure() {
    asked += 1;
    const now = asked;
    subjects.forEach((own, n) => trying(async () => {
      for await (const event of ask(own.name, "measure", given())) {
        Object.assign(answers[n], event, { asked: now });
        show();
      }
    }));
  }

  let playing = 0;
  async function complete() {
    playing += 1;
    const turn = playing;
    again.disabled = false;
    subjects.forEach((own, n) => {
      sums[n].textContent = "";
      for (const tile of tiles[n]) { tile.symbols = Int32Array.from(symbols); tile.queue = []; tile.bits = undefined; redraw(tile, n); }
    });
    const open = symbols.reduce((sum, symbol) => sum + (symbol < 0), 0);
    let arrived = 0;
    play(turn, open);
    await Promise.all(subjects.map((own, n) => trying(async () => {
      for await (const event of ask(own.name, "complete", { ...given(), count: COUNT, seed })) {
        if (turn !== playing) return;
        for (const [members, dims, drawn] of event.draw ?? []) {
          dims.forEach((dim, i) => members.forEach((row, k) => tiles[n][row].queue.push([dim, drawn[i][k]])));
          arrived += dims.length * members.length;
        }
        bar.style.width = `${open ? (100 * arrived) / (open * COUNT * subjects.length) : 100}%`;
        if (event.bits) {
          event.bits.forEach((each, i) => { tiles[n][i].bits = each; });
          const mean = event.bits.reduce((sum, each) => sum + each, 0) / COUNT;
          sums[n].textContent = open ? `${bits(mean)} bits each on average` : "nothing is left to draw";
          grids[n].querySelectorAll("button").forEach((button, i) => { button.title = `${bits(event.bits[i])} bits; use it as the evidence`; });
        }
      }
    })));
  }

  /** Shows what has been drawn, symbol by symbol, no faster than a person can follow. */
  function play(turn, open) {
    const speed = calm() ? Infinity : Math.max(1, open / (60 * SECONDS));
    let owed = 0;
    const frame = () => {
      if (turn !== playing || !host.isConnected) return;
      owed = Math.min(owed + speed, 1e6);
      const now = Math.floor(owed);
      owed -= now;
      tiles.forEach((own, n) => own.forEach((tile) => {
        const part = tile.queue.splice(0, now);
        if (!part.length) return;
        for (const [dim, symbol] of part) tile.symbols[dim] = symbol;
        redraw(tile, n);
      }));
      const waiting = tiles.flat().some((tile) => tile.queue.length || tile.symbols.some((symbol) => symbol < 0));
      if (waiting) requestAnimationFrame(frame);
      else {
        say(`${COUNT} completions are drawn`);
        if (!subject.anything) pixel(); // by which it is estimated
      }
    };
    requestAnimationFrame(frame);
  }

  function redraw(tile, n) {
    const known = (at) => shape.at(0, at).every((dim) => symbols[dim] >= 0);
    paint.draw(tile.canvas, shape, tile.symbols, (at) => (known(at) ? "known" : n ? "drawnB" : "drawn"));
  }

  const hovering = later(30, () => pixel());
  function hover(next) {
    cursor = next ?? cursor;
    painted();
    hovering();
  }

  async function pixel() {
    if (!cursor) { about(); return; }
    const [row, column] = cursor;
    const draws = subject.anything ? null : (n) => tiles[n].map((tile) => tile.symbols).filter((drawn) => drawn.every((symbol) => symbol >= 0)).map((drawn) => shape.bytes(drawn));
    await Promise.all(subjects.map(async (own, n) => {
      try {
        const event = await first(ask(own.name, "pixel", { ...given(), frame: 0, row, column, draws: draws && draws(n) }));
        if (event) answers[n].pixel = { ...event, row, column };
      } catch (error) {
        answers[n].pixel = { reason: error.message, row, column };
      }
    }));
    about();
  }

  // Showing

  function painted() {
    const [answer] = answers;
    const known = (at) => shape.at(0, at).every((dim) => symbols[dim] >= 0);
    if (view === "surprise" && answer.nats) {
      const nats = alone && answer.rest ? answer.rest : answer.nats;
      const most = Math.max(1, ...nats.map((each) => each * 1));
      paint.drawHeat(canvas, shape, nats, symbols.map((symbol) => (symbol >= 0 ? 1 : 0)), most);
      scale.replaceChildren(h("span", {}, "0"), h("span", { class: "ramp" }), h("span", {}, `${short(most, 2)} nats`),
        subject.anything && h("label", {}, h("input", { type: "checkbox", checked: alone, onchange: (event) => { alone = event.target.checked; state.set({ rest: alone ? "1" : "" }); painted(); } }), " given all other pixels"));
    } else if (view === "expected" && answer.expected) {
      paint.draw(canvas, shape, answer.expected, (at) => (known(at) ? "known" : "drawn"));
    } else {
      paint.draw(canvas, shape, symbols, () => "known");
    }
    scale.hidden = view !== "surprise";
    if (rows) { paint.closed(canvas, shape, rowsKnown()); boundaryText.textContent = `${rowsKnown()} of ${shape.height}`; }
    paint.ruled(canvas, shape, cursor);
  }

  function show() {
    for (const button of modes.children) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
      if (button.dataset.view === "expected") {
        button.disabled = !subject.anything;
        if (!subject.anything) button.title = subject.reason;
      }
    }
    painted();
    totals();
    if (cursor) about();
  }

  function totals() {
    if (answers.some((answer) => answer.asked !== asked)) return;
    const [{ bits: one, known, of }] = answers;
    const values = shape.channels === 3 ? "values" : "pixels";
    const what_ = !known ? "Nothing is known yet." : known === of ? `The whole picture: ${short(one / of)} bits for each of ${of} ${values}` : `${known} of ${of} ${values} are known`;
    if (subjects.length === 1) {
      total.replaceChildren(h("p", { class: "big", id: "bits" }, bits(one), h("small", {}, " bits")), h("p", { class: "quiet small" }, what_));
      return;
    }
    const difference = answers[1].bits - one;
    total.replaceChildren(
      ...subjects.map((own, n) => h("p", { class: "big" }, bits(answers[n].bits), h("small", { class: n ? "b key" : "a key" }, ` ${own.name}`))),
      h("p", { class: "quiet", id: "difference" }, known ? `${bits(Math.abs(difference))} bits fewer with ${subjects[difference > 0 ? 0 : 1].name}, for ${known} of ${of}` : "Paint something to compare."));
  }

  function about() {
    if (!cursor) {
      where.textContent = "Pixel";
      what.replaceChildren(h("p", { class: "quiet small" }, "Point at a pixel, or move to it with the arrow keys, to see its whole distribution."));
      return;
    }
    const [row, column] = cursor;
    where.textContent = `Pixel at row ${row + 1}, column ${column + 1}`;
    const own = answers.map((answer) => answer.pixel);
    if (own.some((each) => !each || each.row !== row || each.column !== column)) return;
    const failed = own.find((each) => each.reason);
    const dims = shape.at(row, column);
    const known = dims.every((dim) => symbols[dim] >= 0);
    if (failed) { what.replaceChildren(h("p", { class: "quiet small" }, failed.reason)); return; }
    const names = shape.channels === 3 ? ["Red", "Green", "Blue"] : [""];
    const parts = names.map((name, channel) => {
      const each = own.map((answer) => answer.channels[channel]);
      const svg = chart(name ? 84 : 150);
      const value = known ? symbols[dims[channel]] : null;
      const likeliest = each[0].bars.indexOf(Math.max(...each[0].bars));
      const text = shape.levels === 2
        ? `white with probability ${short(each[0].bars[1])}`
        : `likeliest level ${likeliest}, with probability ${short(each[0].bars[likeliest])}`;
      bars(svg, each.map(({ bars: values, error: errors }, n) => ({ values, errors, kind: n ? "b" : "" })), { is: value, marks: value !== null && shape.levels > 32 ? [value + 0.5] : [], label: `${name} ${text}` });
      if (channel === 0) say(`Row ${row + 1}, column ${column + 1}, ${known ? `level ${value}` : "unknown"}: ${text}`, "pixel");
      return h("div", { class: "channel plot" }, name && h("h3", { class: "small quiet" }, name), svg, ramp(channel),
        h("div", { class: "ticks" }, h("span", {}, shape.levels === 2 ? "black" : "0"), h("span", {}, shape.levels === 2 ? "white" : String(shape.levels - 1))));
    });
    const facts = [];
    const single = shape.channels === 1;
    if (single && shape.levels === 2) own.forEach((each, n) => facts.push([label_("White", n), percent(each.channels[0].bars[1])]));
    else if (single) own.forEach((each, n) => facts.push([label_("Expected", n), short(each.channels[0].bars.reduce((sum, p, level) => sum + p * level, 0))]));
    const sum = (values) => dims.reduce((all, dim) => all + values[dim], 0);
    if (known) answers.forEach((answer, n) => {
      if (answer.nats) facts.push([label_("Surprise", n), `${short(sum(answer.nats))} nats`]);
      if (answer.rest) facts.push([label_("given the others", n), `${short(sum(answer.rest))} nats`]);
    });
    what.replaceChildren(...parts, h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      h("p", { class: "note" }, `${own[0].exact ? "Exact" : "Not exact"}: ${own[0].how}.`));
  }

  const label_ = (name, n) => (subjects.length > 1 ? `${name}, ${subjects[n].name}` : name);

  function ramp(channel) {
    const node = h("div", { class: "levels", "aria-hidden": "true" });
    const steps = Math.min(shape.levels, 32);
    for (let i = 0; i < steps; i += 1) {
      const level = Math.round((i * (shape.levels - 1)) / (steps - 1));
      const levels = shape.channels === 3 ? [0, 0, 0].map((_, c) => (c === channel ? level : 0)) : [level];
      const cell = h("i");
      const [red, green, blue] = paint.colour(shape, levels, "known");
      cell.style.background = `rgb(${red} ${green} ${blue})`;
      node.append(cell);
    }
    return node;
  }

  async function export_() {
    const known = (at) => shape.at(0, at).every((dim) => symbols[dim] >= 0);
    save(await paint.sheet(shape, tiles[0].map((tile) => tile.symbols), (at) => (known(at) ? "known" : "drawn")), `${subject.name}.png`);
  }

  async function trying(call) {
    try { await call(); } catch (error) { toast(error.message, true); }
  }

  paint.onColours(() => { show(); tiles.forEach((own, n) => own.forEach((tile) => redraw(tile, n))); });
  about();
  show();
  measure();
  if (small) complete();
  else tiles.forEach((own, n) => own.forEach((tile) => redraw(tile, n)));

  return {
    lines: () => ({ ...given(), count: COUNT, seed }),
    end: () => { playing += 1; leave("measure"); leave("complete"); leave("pixel"); },
  };
}
