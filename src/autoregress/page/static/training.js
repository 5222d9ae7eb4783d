// A training run: its curve and its newest samples, as it goes on.

import { ask, first, follow, leave } from "./ask.js";
import { chart, curves } from "./chart.js";
import { count, h, say, short } from "./dom.js";
import * as paint from "./paint.js";

const COUNT = 16;

export function training(host, subjects, describe) {
  const own = subjects.map((subject, n) => one(subject, n, describe));
  host.replaceChildren(...own.map(({ node }) => node));
  own.forEach(({ node }, n) => { if (n) node.style.marginTop = "20px"; });
  return { end: () => own.forEach(({ end }) => end()) };
}

function one(subject, n, describe) {
  let epochs = [];
  let version = null;
  let ended = false;
  let seed = 0;
  const svg = chart();
  const state = h("span", { class: "quiet" });
  const dot = h("span", { class: "dot" });
  const top = h("span");
  const bottom = h("span");
  const facts = h("dl", { class: "facts" });
  const samples = h("div", { class: "newest" });
  const about = h("p", { class: "note" });
  const node = h("div", { class: "follow" },
    h("section", { class: "panel", "aria-label": `Training of ${subject.name}` },
      h("div", { class: "head" }, h("h2", {}, `Training of ${subject.name}`), h("p", {}, dot, state)),
      h("div", { class: "plot" }, h("div", { class: "ticks" }, top), svg, h("div", { class: "ticks" }, h("span", {}, "epoch 1"), bottom)),
      h("p", { class: "legend" }, h("span", { class: "key a" }, "validation"), h("span", { class: "key ghosted" }, "training")),
      facts),
    h("section", { class: "panel", "aria-label": "Newest samples" }, h("div", { class: "head" }, h("h2", {}, "Newest samples")), samples, about));

  function show(event) {
    const valid = epochs.map((each) => each[2] ?? NaN);
    const train = epochs.map((each) => each[1]);
    const all = [...valid, ...train].filter(Number.isFinite);
    dot.classList.toggle("on", event.training);
    const last = epochs.at(-1);
    state.textContent = event.training
      ? last ? `training, epoch ${last[0] + 1}${event.planned ? ` of at most ${count(event.planned)}` : ""}` : "training its first epoch"
      : epochs.length ? `${count(epochs.length)} epochs` : "not trained";
    if (!epochs.length) return;
    // The first epochs are far above the others: the curve shows what matters later.
    const ascending = all.sort((a, b) => a - b);
    const low = ascending[0];
    const high = Math.max(epochs.length < 20 ? ascending.at(-1) : ascending[Math.floor(ascending.length * 0.95)], low + 1e-6);
    const measured = valid.some(Number.isFinite) ? valid : train;
    const best = measured.indexOf(Math.min(...measured.filter(Number.isFinite)));
    curves(svg, [{ values: train, kind: "thin-line" }, { values: valid, kind: n ? "b" : "" }], {
      length: Math.max(epochs.length, 2), low: low - (high - low) * 0.06, high, marks: [best],
      label: `Nats after each epoch; the best is epoch ${best + 1} with ${short(measured[best], 4)} nats`,
    });
    top.textContent = `${short(high, 4)} nats`;
    bottom.textContent = `epoch ${count(Math.max(epochs.length, 2))}`;
    const seconds = epochs.reduce((sum, each) => sum + each[3], 0);
    facts.replaceChildren(...[
      ["Best epoch", `${best + 1}, ${short(measured[best], 4)} nats`],
      ["Last epoch", `${short(measured.at(-1), 4)} nats`],
      ["Time", seconds < 120 ? `${short(seconds, 2)} seconds` : `${short(seconds / 60, 2)} minutes`],
    ].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  async function listen() {
    try {
      for await (const event of follow(subject.name)) {
        if (event.from === 0) epochs = [];
        epochs.push(...event.epochs);
        show(event);
        if (event.epochs.length && event.training) say(`Epoch ${epochs.length}: ${short(epochs.at(-1)[2] ?? epochs.at(-1)[1], 4)} nats`);
        if (event.version !== version) {
          const before = version;
          version = event.version;
          if (version && subject.kind === "none" && before === 0) { describe(); return; }
          if (version) draw();
          else about.textContent = "There are no weights yet; they follow the first epoch.";
        }
      }
    } catch (error) {
      if (ended) return;
      state.textContent = error.message;
      setTimeout(() => { if (!ended) listen(); }, 2000);
    }
  }

  async function draw() {
    seed += 1;
    try {
      if (subject.kind === "table") {
        const event = await first(ask(subject.name, "draw", { given: {}, question: null, count: 8, seed }));
        if (!event) return;
        samples.replaceChildren(h("div", { class: "sheet", tabIndex: 0, role: "region", "aria-label": "Rows drawn" }, h("table", {}, h("thead", {}, h("tr", {}, event.columns.map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, event.rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))))));
      } else if (subject.shape) {
        const shape = new paint.Shape(subject.shape, subject.levels);
        const symbols = Array.from({ length: COUNT }, () => new Int32Array(shape.dims).fill(-1));
        const nothing = new Int32Array(shape.dims).fill(-1);
        if (!samples.querySelector("canvas")) samples.replaceChildren(h("div", { class: "tiles" }, symbols.map(() => h("canvas", { role: "img", "aria-label": "A sample" }))));
        const canvases = [...samples.querySelectorAll("canvas")];
        for await (const event of ask(subject.name, "complete", { ...shape.given(nothing, subject.labels?.[0]), count: COUNT, seed })) {
          for (const [rows, dims, drawn] of event.draw ?? []) dims.forEach((dim, i) => rows.forEach((row, k) => { symbols[row][dim] = drawn[i][k]; }));
          canvases.forEach((canvas, i) => paint.draw(canvas, shape, symbols[i], () => (n ? "drawnB" : "drawn")));
        }
      } else {
        about.textContent = subject.reason ?? "";
        return;
      }
      about.textContent = `From the best weights so far, drawn at ${new Date().toLocaleTimeString()}.`;
    } catch (error) {
      about.textContent = error.message;
    }
  }

  listen();
  return { node, end: () => { ended = true; leave(`follow ${subject.name}`); leave("complete"); } };
}
