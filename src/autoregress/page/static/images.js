// Images: paint evidence, watch completions, see what surprises and what each pixel may be.

import { ask, first, leave, upload } from "./ask.js";
import { COUNT, Completions } from "./completions.js";
import { bits, h, later, save, short, toast } from "./dom.js";
import { Easel } from "./easel.js";
import * as paint from "./paint.js";
import { PixelPanel } from "./pixel.js";
import * as state from "./state.js";

const AUTOMATIC = 4096; // dimensions up to which completions are drawn without being asked for
const VIEWS = { evidence: "Evidence", expected: "Expected", surprise: "Surprise" };

export function images(host, subjects) {
  const [subject] = subjects;
  const shape = new paint.Shape(subject.shape, subject.levels);
  const answers = subjects.map(() => ({})); // what each model says of the evidence
  let view = state.get("view") in VIEWS ? state.get("view") : "evidence";
  let alone = state.get("rest") === "1"; // surprise given all other pixels
  let seed = Number(state.get("seed") ?? 0);
  let label = subject.labels?.includes(state.get("label")) ? state.get("label") : subject.labels?.[0] ?? null;

  const symbols = state.unpacked(state.get("x") ?? "", shape.dims, shape.levels) ?? new Int32Array(shape.dims).fill(-1);
  const easel = new Easel(shape, subject, symbols, { changed, pointed: later(30, pixel), show: picture });
  const completions = new Completions(shape, subjects, { adopt: (whole) => easel.replace(whole), drawn: () => { if (!subject.anything) pixel(); } });
  const panel = new PixelPanel(shape, subjects);

  // The page

  const modes = h("div", { class: "segmented", role: "group", "aria-label": "What is shown" },
    Object.entries(VIEWS).map(([name, title]) => h("button", {
      type: "button", "data-view": name, disabled: name === "expected" && !subject.anything,
      title: name === "expected" && !subject.anything ? subject.reason : "",
      onclick: () => { view = name; state.set({ view: name === "evidence" ? "" : name }); show(); },
    }, title)));
  const given = subject.labels && h("label", { class: "small quiet" }, "Given ", h("select", {
    onchange: (event) => { label = event.target.value; state.set({ label }); changed(); },
  }, subject.labels.map((name) => h("option", { value: name, selected: name === label }, name))));
  const file = h("input", { type: "file", accept: "image/*", id: "picture", onchange: () => take(upload(subject.name, file.files[0])) });
  const scale = h("div", { class: "scale" });
  const total = h("div", { class: "totals" });
  const again = h("button", { type: "button", class: "plain strong", onclick: () => { seed += 1; state.set({ seed }); complete(); } }, "Draw again");
  const export_ = h("button", { type: "button", class: "plain", onclick: async () => save(await completions.picture(), `${subject.name}.png`) }, "Save picture");

  host.replaceChildren(h("div", { class: "images" },
    h("section", { class: "panel evidence", "aria-label": "Evidence" },
      h("div", { class: "head" }, modes, given),
      easel.frame, easel.boundary,
      h("div", { class: "tools" }, easel.swatches, easel.brush),
      h("div", { class: "tools" },
        h("button", { type: "button", class: "plain", onclick: () => easel.clear() }, "Clear"),
        h("button", { type: "button", class: "plain", onclick: () => take(ask(subject.name, "example", { number: Math.floor(Math.random() * 1e6) })) }, subject.examples ? "An example" : "A sample"),
        file, h("label", { class: "plain", for: "picture" }, "Import…")),
      scale, total),
    h("section", { class: "panel completions", "aria-label": "Completions" },
      h("div", { class: "head" }, h("h2", {}, "Completions"), h("div", { class: "side" }, export_, again)),
      subjects.map((own, n) => [
        subjects.length > 1 && h("p", { class: "tiles-title" }, h("span", { class: n ? "b key" : "a key" }, own.name), completions.sums[n]),
        completions.grids[n],
      ]),
      h("div", { class: "thin", "aria-hidden": "true" }, completions.bar),
      h("p", { class: "legend" },
        shape.channels === 1 && [h("span", { class: "known" }, h("b"), "known"), h("span", { class: "drawn" }, h("b"), "drawn")],
        h("span", { class: "open" }, h("b"), "not yet"), subjects.length === 1 && completions.sums[0])),
    panel.node));

  // Asking

  const evidence = () => shape.given(symbols, label);

  async function trying(call) {
    try { await call(); } catch (error) { toast(error.message, true); }
  }

  function take(answer) {
    return trying(async () => {
      const event = await first(answer);
      file.value = "";
      if (event) easel.replace(shape.symbols(event.x));
    });
  }

  function changed() {
    state.set({ x: symbols.some((symbol) => symbol >= 0) ? state.packed(symbols) : "" });
    measure();
    pixel();
    completing();
  }

  let asked = 0;
  function measure() {
    asked += 1;
    const now = asked;
    for (const answer of answers) { delete answer.expected; delete answer.rest; }
    subjects.forEach((own, n) => trying(async () => {
      for await (const event of ask(own.name, "measure", evidence())) {
        Object.assign(answers[n], event, { asked: now });
        show();
      }
    }));
  }

  const completing = later(280, () => (shape.dims <= AUTOMATIC ? complete() : completions.blank(symbols)));
  const complete = () => completions.draw(symbols, { ...evidence(), seed });

  async function pixel() {
    if (!easel.cursor) return;
    const [row, column] = easel.cursor;
    panel.show(easel.cursor, symbols, answers);
    await Promise.all(subjects.map(async (own, n) => {
      const draws = subject.anything ? null : completions.whole(n).map((drawn) => shape.bytes(drawn));
      try {
        const event = await first(ask(own.name, "pixel", { ...evidence(), frame: 0, row, column, draws }));
        if (event) answers[n].pixel = { ...event, row, column };
      } catch (error) {
        answers[n].pixel = { reason: error.message, row, column };
      }
    }));
    panel.show(easel.cursor, symbols, answers);
  }

  // Showing

  function show() {
    for (const button of modes.children) button.setAttribute("aria-pressed", String(button.dataset.view === view));
    easel.draw();
    totals();
    if (easel.cursor) panel.show(easel.cursor, symbols, answers);
  }

  function picture(canvas) {
    const [{ nats, rest, expected }] = answers;
    scale.hidden = view !== "surprise";
    if (view === "surprise" && nats) {
      const shown = alone && rest ? rest : nats;
      const most = Math.max(1, ...shown);
      paint.drawHeat(canvas, shape, shown, symbols.map((symbol) => Number(symbol >= 0)), most);
      scale.replaceChildren("0", h("span", { class: "ramp" }), `${short(most, 2)} nats`, ...(subject.anything ? [h("label", {}, h("input", {
        type: "checkbox", checked: alone, onchange: (event) => { alone = event.target.checked; state.set({ rest: alone ? "1" : "" }); easel.draw(); },
      }), " given all other pixels")] : []));
    } else if (view === "expected" && expected) {
      paint.draw(canvas, shape, expected, (place) => (easel.isKnown(place) ? "known" : "drawn"));
    } else paint.draw(canvas, shape, symbols, () => "known");
  }

  function totals() {
    if (answers.some((answer) => answer.asked !== asked)) return;
    const [known, all] = [answers[0].known, answers[0].of].map((n) => n / shape.channels);
    const [one, other] = answers.map((answer) => answer.bits);
    const what = known === all ? `The whole picture: ${short(one / shape.dims)} bits for each of ${shape.dims} values` : known ? `${known} of ${all} pixels are known` : "Nothing is known yet.";
    if (subjects.length === 1) {
      total.replaceChildren(h("p", { class: "big", id: "bits" }, bits(one), h("small", {}, " bits")), h("p", { class: "quiet small" }, what));
      return;
    }
    const better = subjects[other > one ? 0 : 1].name;
    total.replaceChildren(
      ...subjects.map((own, n) => h("p", { class: "big" }, bits(answers[n].bits), h("small", { class: n ? "b key" : "a key" }, own.name))),
      h("p", { class: "quiet small", id: "difference" }, known ? `${bits(Math.abs(other - one))} bits fewer with ${better}, for ${known} of ${all} pixels` : "Paint something to compare."));
  }

  paint.onColours(() => { show(); completions.redraw(); });
  show();
  measure();
  completions.blank(symbols);
  if (shape.dims <= AUTOMATIC) complete();

  return {
    lines: () => ({ ...evidence(), count: COUNT, seed }),
    end: () => { completions.end(); leave("measure"); leave("pixel"); },
  };
}
