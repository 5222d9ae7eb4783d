// Tables: fix what you know and watch the other columns; find the odd cells of a file.

import { ask, first, leave, upload } from "./ask.js";
import { bars, chart } from "./chart.js";
import { bits, count, h, later, percent, save, say, short, toast } from "./dom.js";
import * as state from "./state.js";

const NUMBER = new Set(["number", "date"]);
const DAY = 86400000;
const ROWS = 10;

/** The text of a number that is counted in units of its column's resolution. */
function text(column, n) {
  if (column.step === "days") return new Date(n * DAY).toISOString().slice(0, 10);
  if (column.step === "seconds") return new Date(n * 1000).toISOString().slice(0, 19).replace("T", " ");
  return (n / 10 ** column.decimals).toFixed(Math.max(column.decimals, 0));
}

/** The bar, and the place within it, of such a number. */
function place(column, n) {
  const width = column.edges.length > 1 ? column.edges[1] - column.edges[0] : 1;
  return Math.min(Math.max((n - column.low + 0.5) / width, 0), column.edges.length);
}

async function trying(call) {
  try { await call(); } catch (error) { toast(error.message, true); }
}

function csv(columns, rows) {
  const cell = (value) => (/[",\n]/.test(value ?? "") ? `"${value.replace(/"/g, '""')}"` : value ?? "");
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

export function explore(host, subjects) {
  const [subject] = subjects;
  let given = {};
  try { given = JSON.parse(state.get("given") ?? "{}"); } catch { /* an address that was cut short */ }
  const columns = new Map(subject.columns.map((column) => [column.name, column]));
  for (const name of Object.keys(given)) if (!columns.has(name)) delete given[name];
  let question = state.get("ask") ?? "";
  let seed = Number(state.get("seed") ?? 0);
  const before = subjects.map(() => ({})); // distributions without evidence
  const now = subjects.map(() => ({}));
  const cards = new Map();
  let drawn = null;

  const fixed = h("div", { class: "fixed", role: "group", "aria-label": "What is fixed" });
  const input = h("input", { type: "text", id: "question", value: question, autocomplete: "off", spellcheck: false, placeholder: sample(), "aria-label": "A question about a row", "aria-describedby": "how" });
  const answer = h("p", { class: "answer", id: "answer", "aria-live": "polite" });
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); input.value ||= input.placeholder; question = input.value.trim(); state.set({ ask: question }); asking(); } }, input, h("button", { type: "submit", class: "plain" }, "Ask"));
  const grid = h("div", { class: "cards moving" });
  const sheet = h("div", { class: "sheet", tabIndex: 0, role: "region", "aria-label": "Rows drawn", hidden: true });
  const again = h("button", { type: "button", class: "plain strong", onclick: () => { if (drawn) seed += 1; state.set({ seed }); rows(); } }, "Draw 10 rows");
  const download = h("button", { type: "button", class: "plain", hidden: true, onclick: () => save(csv(drawn.columns, drawn.rows), "rows.csv", "text/csv") }, "Save CSV");

  host.replaceChildren(
    h("section", { class: "panel asking", "aria-label": "Question" }, h("div", {}, form, h("p", { class: "note", id: "how" }, "Comparisons joined by and, or, not; texts in quotes, names with spaces in `backticks`.")), answer),
    fixed, grid,
    h("section", { class: "rows-drawn" },
      h("div", { class: "head", id: "rows-head" }, h("h2", {}, "Rows the model draws, given what is fixed"), h("div", { class: "side" }, download, again)), sheet));
  host.querySelector(".rows-drawn").style.marginTop = "28px";

  for (const column of subject.columns) {
    const card = NUMBER.has(column.kind) ? numberCard(column) : labelCard(column);
    cards.set(column.name, card);
    grid.append(card.node);
  }

  function sample() {
    const number = subject.columns.find((column) => NUMBER.has(column.kind));
    const label = subject.columns.find((column) => column.labels);
    const quoted = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : `\`${name}\``);
    const parts = [];
    if (number) parts.push(`${quoted(number.name)} > ${number.step ? `'${text(number, Math.round((number.low + number.high) / 2))}'` : text(number, Math.round((number.low + number.high) / 2))}`);
    if (label) parts.push(`${quoted(label.name)} == '${label.labels[0]}'`);
    return parts.join(" and ");
  }

  // Cards

  function head(column) {
    const value = h("span", { class: "value" });
    const release = h("button", { type: "button", class: "plain small", hidden: true, "aria-label": `Release ${column.name}`, onclick: () => { fix(column.name, undefined); } }, "Release");
    release.style.height = "26px";
    return { value, release, node: h("div", { class: "head" }, h("h3", { title: column.name }, column.name), h("div", { class: "side" }, value, release)) };
  }

  function numberCard(column) {
    const top = head(column);
    const svg = chart();
    const slider = h("input", {
      type: "range", class: "loose", min: column.low, max: column.high, step: 1, "aria-label": `Fix ${column.name}`,
      oninput: () => { fix(column.name, Number(slider.value)); },
    });
    const date = column.step === "days" && h("input", {
      type: "date", min: text(column, column.low), max: text(column, column.high), "aria-label": `Fix the date of ${column.name}`,
      onchange: () => { if (date.value) fix(column.name, Math.round(Date.parse(date.value) / DAY)); },
    });
    const stat = h("div", { class: "stat" });
    const node = h("section", { class: "panel card", "aria-label": column.name, "data-column": column.name }, top.node,
      h("div", { class: "plot" }, svg), slider, date,
      h("div", { class: "ticks small quiet row" }, h("span", {}, text(column, column.low)), h("span", {}, text(column, column.high))), stat);
    node.querySelector(".ticks").style.justifyContent = "space-between";
    const show = () => {
      const value = given[column.name];
      const is = value !== undefined;
      node.classList.toggle("is-fixed", is);
      top.release.hidden = !is;
      slider.classList.toggle("loose", !is);
      const own = now.map((each) => each[column.name]);
      if (is) {
        top.value.textContent = `= ${text(column, value)}`;
        slider.value = value;
        slider.setAttribute("aria-valuetext", text(column, value));
        if (date) date.value = text(column, value);
        const ghost = before[0][column.name]?.bars;
        if (ghost) bars(svg, [{ values: ghost.map(() => 0) }], { ghost, marks: [place(column, value)], label: `${column.name} is fixed at ${text(column, value)}` });
        stat.replaceChildren("Fixed. The other columns follow.");
        return;
      }
      if (own.some((each) => !each)) return;
      slider.value = own[0].places[2];
      slider.setAttribute("aria-valuetext", `not fixed, median ${own[0].quantiles[2]}`);
      if (date) date.value = text(column, own[0].places[2]);
      top.value.textContent = subjects.length > 1 ? "" : `median ${own[0].quantiles[2]}`;
      const ghost = Object.keys(given).length ? before[0][column.name]?.bars : undefined;
      bars(svg, own.map((each, n) => ({ values: each.bars, kind: n ? "b" : "" })), { ghost, label: `${column.name}: mean ${own[0].mean}, median ${own[0].quantiles[2]}, 5 to 95 percent ${own[0].quantiles[0]} to ${own[0].quantiles[4]}`, gap: 0.06 });
      stat.replaceChildren(...own.flatMap((each, n) => [
        !column.step && h("span", { class: subjects.length > 1 ? (n ? "b" : "a") : "" }, "mean ", h("b", {}, each.mean)),
        subjects.length === 1 && h("span", {}, "5–95 % ", h("b", {}, `${each.quantiles[0]} – ${each.quantiles[4]}`)),
      ]).filter(Boolean));
    };
    return { node, show };
  }

  function labelCard(column) {
    const top = head(column);
    const choices = column.labels.map((label, i) => {
      const bar = subjects.map((_, n) => h("i", { class: n ? "b" : "" }));
      const mark = h("s");
      const p = h("span", { class: "p" });
      const other = label === "(other)";
      const node = h("button", { type: "button", class: "choice", "aria-pressed": "false", disabled: other, title: label,
        onclick: () => fix(column.name, given[column.name] === label ? undefined : label) },
        h("span", { class: "name" }, label), h("span", { class: `track${subjects.length > 1 ? " two" : ""}`, "aria-hidden": "true" }, bar, mark), p);
      return { node, bar, mark, p, i, other };
    });
    const stat = h("div", { class: "stat" });
    const list = h("div", { class: "choices", role: "group", "aria-label": `Fix ${column.name}` }, choices.map((each) => each.node));
    const node = h("section", { class: "panel card", "aria-label": column.name, "data-column": column.name }, top.node, list, stat);
    const show = () => {
      const value = given[column.name];
      const is = value !== undefined;
      node.classList.toggle("is-fixed", is);
      top.release.hidden = !is;
      const own = now.map((each) => each[column.name]);
      top.value.textContent = is ? "" : own[0] && subjects.length === 1 ? own[0].mode : "";
      for (const { node: choice, bar, mark, p, i, other } of choices) {
        choice.setAttribute("aria-pressed", String(is && column.labels[i] === value));
        const shares = own.map((each) => (is ? Number(column.labels[i] === value) : each?.bars[i] ?? 0));
        choice.hidden = other && shares.every((share) => share < 0.005);
        bar.forEach((each, n) => { each.style.width = `${100 * shares[n]}%`; });
        const ghost = before[0][column.name]?.bars[i];
        mark.hidden = ghost === undefined || !Object.keys(given).length || is;
        if (ghost !== undefined) mark.style.left = `calc(${100 * ghost}% - 1px)`;
        p.textContent = is ? "" : shares.length > 1 ? `${percent(shares[0])}` : percent(shares[0]);
        choice.setAttribute("aria-label", `${column.labels[i]}, ${percent(shares[0])}`);
      }
      stat.textContent = is ? "Fixed. The other columns follow." : "";
    };
    return { node, show };
  }

  // What is fixed

  function fix(name, value) {
    if (value === undefined) delete given[name];
    else given[name] = value;
    state.set({ given: Object.keys(given).length ? JSON.stringify(given) : "" });
    cards.get(name).show();
    chips();
    moved();
  }

  const moved = later(30, () => { update(); if (question) asking(); if (drawn) rows(); });

  function chips(total) {
    const names = Object.keys(given);
    fixed.replaceChildren(...(names.length
      ? [h("span", { class: "quiet" }, "Fixed"), ...names.map((name) => h("button", { type: "button", class: "chip", "aria-label": `Release ${name}`, onclick: () => fix(name, undefined) },
        `${name} = ${typeof given[name] === "number" ? text(columns.get(name), given[name]) : given[name]}`, h("span", { "aria-hidden": "true" }, "×"))),
      h("button", { type: "button", class: "plain", onclick: () => { given = {}; state.set({ given: "" }); cards.forEach((card) => card.show()); chips(); moved(); } }, "Release all"),
      total]
      : [h("span", { class: "quiet" }, "Nothing is fixed. Move a slider or choose a label, and the other columns follow.")]).filter(Boolean));
  }

  async function update() {
    const nothing = Object.keys(given).length === 0;
    const totals = await Promise.all(subjects.map(async (own, n) => {
      let sum;
      await trying(async () => {
        if (!nothing && !Object.keys(before[n]).length) {
          for await (const event of ask(own.name, "distributions", { given: {}, question: null, count: null, seed: null }, "before")) {
            if (event.column) { before[n][event.column] = event; cards.get(event.column)?.show(); }
          }
        }
        for await (const event of ask(own.name, "distributions", { given, question: null, count: null, seed: null })) {
          if (!event.column) { sum = event.bits; continue; }
          now[n][event.column] = event;
          if (nothing) before[n][event.column] = event;
          cards.get(event.column)?.show();
        }
      });
      return sum;
    }));
    if (nothing || totals.some((sum) => sum === undefined)) return;
    const [one, other] = totals;
    const said = subjects.length > 1
      ? `${bits(one)} bits with ${subjects[0].name}, ${bits(other)} with ${subjects[1].name}: a difference of ${bits(Math.abs(other - one))}`
      : `${bits(one)} bits of surprise`;
    chips(h("span", { class: "quiet small", id: "bits" }, said));
    say(`The other columns are updated. ${said}`);
  }

  async function asking() {
    answer.replaceChildren();
    if (!question) return;
    const all = await Promise.all(subjects.map(async (own) => {
      try {
        return await first(ask(own.name, "probability", { given, question, count: null, seed: 0 }));
      } catch (error) {
        return { reason: error.message };
      }
    }));
    if (all.some((each) => !each)) return;
    if (all[0].reason) { answer.replaceChildren(h("span", { class: "error small" }, all[0].reason)); return; }
    answer.replaceChildren(...all.map((each, n) => h("span", { class: `big ${subjects.length > 1 ? (n ? "b" : "a") : ""}` }, short(each.value, 4),
      h("small", {}, each.exact ? " exact" : ` ± ${short(each.standard_error, 2)}`), " ")));
  }

  async function rows() {
    await trying(async () => {
      const event = await first(ask(subject.name, "draw", { given, question: null, count: ROWS, seed }));
      if (!event) return;
      drawn = event;
      sheet.hidden = download.hidden = false;
      again.textContent = "Draw again";
      const right = (name) => (NUMBER.has(columns.get(name)?.kind) ? "" : "left");
      sheet.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, event.columns.map((name) => h("th", { scope: "col", class: right(name) }, name)))),
        h("tbody", {}, event.rows.map((row) => h("tr", {}, row.map((cell, j) => h("td", { class: right(event.columns[j]) }, cell)))))));
      say(`${ROWS} rows are drawn`);
    });
  }

  chips();
  cards.forEach((card) => card.show());
  update();
  if (question) asking();
  return {
    lines: () => ({ given, question, count: ROWS, seed }),
    end: () => { leave("distributions"); leave("probability"); },
  };
}

// A file

const SHOWN = 100;
let kept = null; // the file that was checked last, across tabs

export function check(host, subjects) {
  const [subject] = subjects;
  const columns = new Map(subject.columns.map((column) => [column.name, column]));
  let order = "cell";
  let most = SHOWN;
  let chosen = null;
  let found = kept?.run === subject.name ? kept : null;

  const input = h("input", { type: "file", id: "table", accept: ".csv,.tsv,.txt,.gz,.parquet,.feather,.arrow", onchange: () => { take(input.files[0]); input.value = ""; } });
  const head = h("div", { class: "head" });
  const sheet = h("div", { class: "sheet", tabIndex: 0, role: "region", "aria-label": "Rows of the file, the oddest first" });
  const detail = h("section", { class: "panel", "aria-label": "The chosen cell", "aria-live": "polite" });

  const over = (on) => (event) => { event.preventDefault(); host.querySelector(".drop")?.classList.toggle("over", on); };
  host.ondragover = over(true);
  host.ondragleave = over(false);
  host.ondrop = (event) => { over(false)(event); take(event.dataTransfer.files[0]); };

  function ask_() {
    host.replaceChildren(h("section", { class: "panel", "aria-label": "A file" }, h("div", { class: "drop" },
      h("b", {}, "Drop a table here"),
      h("p", {}, `Its rows are sorted by how odd they are, and the cells that do not fit the others of their row are marked. Columns: ${subject.columns.map((column) => column.name).slice(0, 8).join(", ")}${subject.columns.length > 8 ? ", …" : ""}.`),
      h("span", { class: "row" }, input, h("label", { class: "plain strong", for: "table" }, "Choose a file…")),
      h("p", { class: "small" }, "CSV, TSV or Parquet; it stays on the machine that runs the model."))));
  }

  const take = (file) => file && read(file.name, upload(subject.name, file));

  async function read(name, answer) {
    let next = null;
    await trying(async () => {
      const started = performance.now();
      for await (const event of answer) {
        if (event.columns) {
          next = { run: subject.name, file: name, columns: event.columns, learnt: event.learnt, of: event.of, rows: event.rows.map((cells, i) => ({ number: i + 1, cells, repaired: {} })) };
          kept = found = next;
          chosen = null;
          most = SHOWN;
          frame();
        } else {
          event.bits.forEach((each, i) => Object.assign(found.rows[event.from + i], { bits: each, surprise: event.cells[i], p: event.p[i], expected: event.expected[i], least: Math.min(1, ...event.p[i].filter((p) => p !== null)) }));
          found.done = event.from + event.bits.length;
          if (performance.now() - started < 600 || found.done % 1024 === 0) table();
        }
      }
      if (found === next && next) {
        table();
        const [worst] = sorted();
        say(`${count(found.rows.length)} rows are checked. The oddest is row ${worst.number}.`);
      }
    });
  }

  function frame() {
    const orders = h("select", { id: "order", onchange: () => { order = orders.value; table(); } },
      h("option", { value: "cell" }, "the least likely cell"), h("option", { value: "row" }, "surprise of the row, in bits"), h("option", { value: "file" }, "row of the file"));
    orders.value = order;
    head.replaceChildren(h("h2", {}, found.file), h("div", { class: "side" },
      h("label", { class: "small quiet" }, "Sorted by ", orders),
      h("button", { type: "button", class: "plain", onclick: () => save(csv(found.columns, found.rows.map((row) => row.cells.map((cell, j) => row.repaired[j] ?? cell))), `checked-${found.file.replace(/\.\w+$/, "")}.csv`, "text/csv") }, "Save CSV"),
      input, h("label", { class: "plain", for: "table" }, "Another file…")));
    host.replaceChildren(h("div", { class: "checking" }, h("section", { class: "panel", "aria-label": "Rows" }, head, sheet, h("p", { class: "note" })), detail));
    about();
  }

  function sorted() {
    const ready = found.rows.filter((row) => row.p);
    if (order === "cell") ready.sort((a, b) => a.least - b.least || b.bits - a.bits);
    else if (order === "row") ready.sort((a, b) => b.bits - a.bits);
    return ready;
  }

  const hot = (p) => (p === null ? "" : p < 1e-4 ? "hot-4" : p < 1e-3 ? "hot-3" : p < 0.01 ? "hot-2" : p < 0.05 ? "hot-1" : "");

  function table() {
    const all = sorted();
    const right = (name) => (NUMBER.has(columns.get(name)?.kind) ? "" : "left");
    const body = all.slice(0, most).map((row) => h("tr", { class: row === chosen?.row ? "is-chosen" : "" },
      h("td", { class: "quiet number" }, String(row.number)), h("td", { class: "quiet" }, oneIn(row.least)), h("td", { class: "quiet" }, bits(row.bits)),
      row.cells.map((cell, j) => {
        const repaired = row.repaired[j];
        if (!found.learnt[j]) return h("td", { class: "quiet left" }, cell ?? "");
        const kind = repaired === undefined ? hot(row.p[j]) : "repaired";
        const name = found.columns[j];
        return h("td", { class: `cell ${right(name)} ${kind}` }, h("button", {
          type: "button", class: right(name), "data-cell": `${row.number}:${name}`,
          title: row.p[j] === null ? "missing" : `${oneIn(row.p[j])}; expected ${row.expected[j]}`,
          "aria-label": `Row ${row.number}, ${name}: ${repaired ?? cell ?? "missing"}${kind.startsWith("hot") ? ", unlikely" : ""}`,
          onclick: () => choose(row, j),
        }, repaired ?? cell ?? h("span", { class: "quiet" }, "·")));
      })));
    const before = [sheet.scrollTop, sheet.scrollLeft];
    sheet.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "number" }, "row"), h("th", { scope: "col", title: "Probability of a cell at least as unlikely as the oddest of the row" }, "oddest cell"), h("th", { scope: "col" }, "bits"),
      found.columns.map((name) => h("th", { scope: "col", class: right(name) }, name)))), h("tbody", {}, body)));
    [sheet.scrollTop, sheet.scrollLeft] = before;
    const more = all.length > most && h("button", { type: "button", class: "plain", onclick: () => { most += 4 * SHOWN; table(); } }, "Show more rows");
    host.querySelector(".note")?.replaceChildren(
      found.done < found.rows.length ? `${count(found.done ?? 0)} of ${count(found.rows.length)} rows checked… ` : `${count(found.rows.length)} rows${found.of > found.rows.length ? ` of ${count(found.of)}; the others were left out` : ""}. `, more || "");
  }

  const oneIn = (p) => (p === null ? "" : p >= 0.05 ? "usual" : `1 in ${count(Number((1 / Math.max(p, 1e-12)).toPrecision(2)))}`);

  async function choose(row, j) {
    chosen = { row, j };
    for (const each of sheet.querySelectorAll("tr.is-chosen")) each.classList.remove("is-chosen");
    sheet.querySelector(`[data-cell="${CSS.escape(`${row.number}:${found.columns[j]}`)}"]`)?.closest("tr").classList.add("is-chosen");
    const cells = Object.fromEntries(found.columns.map((name, k) => [name, row.repaired[k] ?? row.cells[k]]));
    await trying(async () => {
      const event = await first(ask(subject.name, "repair", { row: { ...cells, [found.columns[j]]: row.cells[j] }, column: found.columns[j] }));
      if (event && chosen.row === row && chosen.j === j) { chosen.answer = event; about(); }
    });
  }

  function about() {
    if (!chosen?.answer) {
      detail.replaceChildren(h("div", { class: "head" }, h("h2", {}, "Cell")), h("p", { class: "quiet small" }, "Choose a cell to see what was expected there, given the others of its row."),
        h("p", { class: "scale" }, "1 in 20", h("span", { class: "ramp" }), "1 in 10,000"));
      detail.querySelector(".scale").style.marginTop = "16px";
      return;
    }
    const { row, j, answer } = chosen;
    const name = found.columns[j];
    const column = columns.get(name);
    const cell = row.cells[j];
    const svg = chart(120);
    let marks = [];
    if (column.labels) marks = column.labels.includes(cell) ? [column.labels.indexOf(cell) + 0.5] : [];
    else if (cell !== null) {
      const n = column.step ? Date.parse(`${cell}Z`) / (column.step === "days" ? DAY : 1000) : Number(cell) * 10 ** column.decimals;
      if (Number.isFinite(n)) marks = [place(column, n)];
    }
    bars(svg, [{ values: answer.bars }], { marks, label: `Distribution of ${name} given the others of the row` });
    const ticks = column.labels && column.labels.length <= 5 ? column.labels : column.labels ? [] : column.texts;
    const repaired = row.repaired[j];
    detail.replaceChildren(h("div", { class: "head" }, h("h2", {}, `Row ${row.number}, ${name}`)),
      h("p", { class: "big" }, cell ?? "missing", h("small", {}, cell === null ? "" : row.p[j] >= 0.05 ? " as may be" : ` ${oneIn(row.p[j])}`)),
      h("div", { class: "plot" }, svg, h("div", { class: "ticks" }, ticks.map((tick) => h("span", {}, tick)))),
      h("dl", { class: "facts" },
        h("dt", {}, answer.mean ? "Median" : "Likeliest"), h("dd", { id: "likeliest" }, answer.repair),
        answer.mean && [h("dt", {}, "Mean"), h("dd", {}, answer.mean), h("dt", {}, "5–95 %"), h("dd", {}, `${answer.quantiles[0]} – ${answer.quantiles[4]}`)],
        h("dt", {}, "Bits of the row"), h("dd", {}, `${bits(answer.before)} → ${bits(answer.after)}`)),
      h("p", { class: "row repair" },
        repaired === undefined
          ? h("button", { type: "button", class: "plain strong", onclick: () => mend(row, j, answer.repair) }, `Repair: ${answer.repair}`)
          : h("button", { type: "button", class: "plain", onclick: () => mend(row, j, undefined) }, `Take ${cell ?? "the gap"} back`)));
    detail.querySelector(".repair").style.marginTop = "14px";
  }

  function mend(row, j, value) {
    if (value === undefined) delete row.repaired[j];
    else row.repaired[j] = value;
    table();
    about();
    toast(value === undefined ? "As it was" : `Row ${row.number}: ${found.columns[j]} is now ${value}. Save CSV writes it.`);
  }

  if (found) { frame(); table(); } else {
    ask_();
    if (subject.file) read(subject.file, ask(subject.name, "check", {}));
  }
  return {
    lines: () => ({ given: {}, question: "", count: ROWS, seed: 0 }),
    end: () => { leave("upload"); host.ondrop = host.ondragover = host.ondragleave = null; },
  };
}
