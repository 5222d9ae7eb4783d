// Clips: scrub to the last known frame; continuations play beside the truth as they are drawn.

import { ask, first, leave, upload } from "./ask.js";
import { chart, curves } from "./chart.js";
import { bits, calm, count, h, later, save, say, short, toast } from "./dom.js";
import * as paint from "./paint.js";
import * as state from "./state.js";

const COUNT = 6;
const RATE = 6; // frames a second

export function clips(host, subjects) {
  const [subject] = subjects;
  const shape = new paint.Shape(subject.shape, subject.levels);
  const allowed = subject.first.filter((n) => subjects.every((own) => own.first.includes(n)));
  let truth = state.unpacked(state.get("x") ?? "", shape.dims, shape.levels);
  let number = Number(state.get("clip") ?? 0);
  let known = Number(state.get("frames") ?? allowed[Math.floor(allowed.length / 2)] ?? 0);
  let seed = Number(state.get("seed") ?? 0);
  const label = subject.labels ? state.get("label") ?? subject.labels[0] : null;
  let at = 0;
  let playing = !calm();
  let heat = false;
  const films = subjects.map(() => []);
  const answers = subjects.map(() => ({}));

  const screen = h("canvas", { role: "img", "aria-label": "The clip" });
  const slider = h("input", { type: "range", id: "frames", min: 0, max: shape.frames, step: 1, value: known, oninput: scrub });
  const ticks = h("output", { for: "frames", class: "quiet" });
  const time = h("input", { type: "range", min: 0, max: shape.frames - 1, value: 0, "aria-label": "Frame shown", class: "loose", oninput: () => { at = Number(time.value); stop(true); paintAll(); } });
  const play = h("button", { type: "button", class: "plain", onclick: () => stop(playing) });
  const svg = chart();
  const most = h("span");
  const total = h("div", { class: "totals" });
  const file = h("input", { type: "file", id: "film", accept: "video/*,.gif,.mkv,.npy,.npz", onchange: () => take(file.files[0]) });
  const mode = h("div", { class: "segmented", role: "group", "aria-label": "What is shown" }, ["Clip", "Surprise"].map((name, i) => h("button", {
    type: "button", "aria-pressed": String(!i), onclick: (event) => {
      heat = Boolean(i);
      for (const button of mode.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      paintAll();
    },
  }, name)));
  const sums = subjects.map(() => h("span", { class: "quiet" }));
  const grids = subjects.map((_, n) => h("div", { class: "films" }, Array.from({ length: COUNT }, (_, i) => {
    const canvas = h("canvas", { role: "img", "aria-label": `Continuation ${i + 1}` });
    films[n].push({ canvas, symbols: new Int32Array(shape.dims).fill(-1) });
    return h("figure", {}, canvas);
  })));

  host.replaceChildren(h("div", { class: "clips" },
    h("section", { class: "panel film", "aria-label": "The clip" },
      h("div", { class: "head" }, mode, h("div", { class: "side" },
        h("button", { type: "button", class: "plain", onclick: () => load(number + 1) }, subject.examples ? "Next clip" : "Another sample"),
        file, h("label", { class: "plain", for: "film" }, "Upload…"))),
      screen,
      h("div", { class: "tools" }, play, h("div", { class: "grow" }, time)),
      h("div", { class: "tools known" }, h("label", { for: "frames", class: "small" }, "Known frames"), ticks), slider,
      h("p", { class: "note" }, subject.reason),
      h("div", { class: "timeline" }, h("h3", {}, "Surprise of each frame"), h("div", { class: "plot" }, svg, h("div", { class: "ticks" }, h("span", {}, "frame 1"), most, h("span", {}, `frame ${shape.frames}`)))),
      total),
    h("section", { class: "panel", "aria-label": "Continuations" },
      h("div", { class: "head" }, h("h2", {}, "Continuations"), h("div", { class: "side" }, h("button", { type: "button", class: "plain", onclick: export_ }, "Save picture"), h("button", { type: "button", class: "plain strong", onclick: () => { seed += 1; state.set({ seed }); complete(); } }, "Draw again"))),
      subjects.map((own, n) => [subjects.length > 1 && h("p", { class: "tiles-title" }, h("span", { class: n ? "b key" : "a key" }, own.name), sums[n]), grids[n]]),
      h("p", { class: "legend" }, h("span", { class: "known" }, h("b"), "known"), h("span", { class: "drawn" }, h("b"), "drawn"), h("span", { class: "open" }, h("b"), "not yet"), subjects.length === 1 ? sums[0] : null))));
  host.querySelectorAll("canvas").forEach((canvas) => canvas.style.setProperty("--ratio", String(shape.width / shape.height)));

  function scrub() {
    const n = Number(slider.value);
    const near = allowed.reduce((best, other) => (Math.abs(other - n) < Math.abs(best - n) ? other : best), allowed[0]);
    slider.value = near;
    if (near === known) return;
    known = near;
    at = Math.max(known - 1, 0);
    changed();
  }

  async function load(next) {
    number = next;
    await trying(async () => {
      const event = await first(ask(subject.name, "example", { number }));
      if (!event) return;
      truth = shape.symbols(event.x);
      state.set({ clip: number, x: event.drawn ? state.packed(truth) : "" });
      changed();
      measure();
    });
  }

  async function take(chosen) {
    if (!chosen) return;
    await trying(async () => {
      const event = await first(upload(subject.name, chosen));
      if (!event) return;
      truth = shape.symbols(event.x);
      const text = state.packed(truth);
      if (!text) toast("This clip is too large for the address, so a link cannot hold it");
      state.set({ x: text, clip: "" });
      changed();
      measure();
    });
    file.value = "";
  }

  function evidence() {
    return truth.map((symbol, dim) => (dim < known * shape.frame ? symbol : -1));
  }

  function changed() {
    state.set({ frames: known });
    slider.value = known;
    ticks.textContent = `${known} of ${shape.frames}`;
    curve();
    paintAll();
    completing();
  }

  const completing = later(160, () => complete());

  function measure() {
    subjects.forEach((own, n) => trying(async () => {
      answers[n] = {};
      const event = await first(ask(own.name, "frames", shape.given(truth, label)));
      if (event) { answers[n] = event; curve(); paintAll(); }
    }));
  }

  let turn = 0;
  async function complete() {
    turn += 1;
    const own = turn;
    const given = evidence();
    for (const film of films.flat()) film.symbols = Int32Array.from(given);
    sums.forEach((sum) => { sum.textContent = ""; });
    at = Math.max(known - 1, 0);
    paintAll();
    await Promise.all(subjects.map((each, n) => trying(async () => {
      for await (const event of ask(each.name, "complete", { ...shape.given(given, label), count: COUNT, seed })) {
        if (own !== turn) return;
        for (const [rows, dims, drawn] of event.draw ?? []) {
          dims.forEach((dim, i) => rows.forEach((row, k) => { films[n][row].symbols[dim] = drawn[i][k]; }));
        }
        if (event.bits) {
          sums[n].textContent = `${bits(event.bits.reduce((sum, value) => sum + value, 0) / COUNT)} bits each on average`;
          say(`${COUNT} continuations are drawn`);
        }
        paintAll();
      }
    })));
  }

  function curve() {
    if (answers.some((answer) => !answer.frames)) return;
    const high = Math.max(...answers.flatMap((answer) => answer.frames)) * 1.05;
    curves(svg, answers.map((answer, n) => ({ values: answer.frames, kind: n ? "b" : "" })), {
      length: shape.frames, high, marks: [at], given: known,
      label: `Bits of each frame: ${answers[0].frames.map((value) => short(value, 2)).join(", ")}`,
    });
    most.textContent = `up to ${short(high / 1.05)} bits`;
    const [one, other] = answers;
    total.replaceChildren(h("p", { class: "big", id: "bits" }, bits(one.bits), h("small", {}, ` bits${other ? ` with ${subject.name}` : " for the whole clip"}`)),
      ...(other ? [h("p", { class: "big" }, bits(other.bits), h("small", {}, ` bits with ${subjects[1].name}`)), h("p", { class: "quiet small", id: "difference" }, `${bits(Math.abs(other.bits - one.bits))} bits fewer with ${other.bits > one.bits ? subject.name : subjects[1].name}`)]
        : [h("p", { class: "quiet small" }, `${short(one.bits / shape.dims)} for each of ${count(shape.dims)} values`)]));
  }

  function paintAll() {
    if (!truth) return;
    const [answer] = answers;
    if (heat && answer.nats) {
      const high = Math.max(1, ...answer.nats);
      paint.drawHeat(screen, shape, answer.nats, new Uint8Array(shape.dims).fill(1), high, at);
    } else paint.draw(screen, shape, truth, () => "known", at);
    films.forEach((all, n) => all.forEach(({ canvas, symbols }) => paint.draw(canvas, shape, symbols, () => (at < known ? "known" : n ? "drawnB" : "drawn"), at)));
    time.value = at;
    time.setAttribute("aria-valuetext", `frame ${at + 1} of ${shape.frames}${at < known ? ", known" : ""}`);
  }

  /** Saves the continuations of the first model, a row of frames each, below the clip. */
  async function export_() {
    const row = (symbols, drawn) => Array.from({ length: shape.frames }, (_, frame) => ({ symbols, frame, how: () => (frame < known ? "known" : drawn) }));
    const all = [...row(truth, "known"), ...films[0].flatMap((film) => row(film.symbols, "drawn"))];
    save(await paint.sheet(shape, all, shape.frames), `${subject.name}.png`);
  }

  function stop(now) {
    playing = !now;
    play.textContent = playing ? "Pause" : "Play";
  }

  const clock = setInterval(() => {
    if (!playing || !truth) return;
    at = (at + 1) % shape.frames;
    paintAll();
    curve();
  }, 1000 / RATE);

  async function trying(call) {
    try { await call(); } catch (error) { toast(error.message, true); }
  }

  paint.onColours(paintAll);
  stop(!playing);
  if (truth) { changed(); measure(); } else load(number);
  return {
    lines: () => ({ ...shape.given(evidence(), label), count: COUNT, seed }),
    end: () => { clearInterval(clock); leave("complete"); leave("frames"); },
  };
}
