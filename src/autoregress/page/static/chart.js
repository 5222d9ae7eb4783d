// Charts in SVG, stretched to their place; their meaning is in a label.

import { h } from "./dom.js";

const rect = (x, y, width, height, kind) => h("rect", { x, y, width, height, class: kind });

/**
 * Bars of one or two distributions.
 * @param all [{ values, errors, kind }] the first in front
 * @param ghost a distribution behind them, such as that without evidence
 * @param is the bar of the value that there is
 * @param marks places, in bars, of vertical lines
 */
export function bars(svg, all, { ghost, is = null, marks = [], label = "", gap = 0.12 } = {}) {
  const length = all[0].values.length;
  const top = Math.max(1e-9, ...all.flatMap(({ values }) => values), ...(ghost ?? []));
  const y = (p) => 100 - (96 * p) / top;
  const g = length > 60 ? 0 : gap;
  const parts = [];
  if (ghost) ghost.forEach((p, i) => parts.push(rect(i + g / 4, y(p), 1 - g / 2, 100 - y(p), "ghost")));
  // Of many bars, the second distribution is an outline over the first.
  const outlined = all.length > 1 && length > 24;
  (outlined ? all.slice(0, 1) : all).forEach(({ values, errors, kind = "" }, n, shown) => {
    const width = (1 - g) / shown.length;
    values.forEach((p, i) => {
      const x = i + g / 2 + n * width;
      parts.push(rect(x, y(p), width, 100 - y(p), `now ${kind} ${is === null || is === i ? "" : "not"}`));
      if (errors?.[i] > 0.002) {
        const middle = x + width / 2;
        parts.push(h("line", {
          x1: middle, x2: middle, y1: y(Math.min(p + errors[i], top)), y2: y(Math.max(p - errors[i], 0)),
          class: "error-bar",
        }));
      }
    });
  });
  if (outlined) {
    const steps = all[1].values.map((p, i) => `L${i} ${y(p)}H${i + 1}`).join("");
    parts.push(h("path", { d: `M0 100${steps}V100`, class: `curve ${all[1].kind}` }));
  }
  for (const mark of marks) parts.push(h("line", { x1: mark, x2: mark, y1: 0, y2: 100, class: "mark" }));
  parts.push(h("line", { x1: 0, x2: length, y1: 100, y2: 100, class: "axis" }));
  framed(svg, length, label);
  svg.replaceChildren(...parts);
}

/** Curves over 0 … length − 1; higher values are higher up. */
export function curves(svg, all, { length, low = 0, high, marks = [], given = 0, label = "" }) {
  const span = high - low || 1;
  const x = (i) => i;
  const y = (value) => 100 - (96 * (value - low)) / span;
  const parts = [];
  if (given > 0) parts.push(rect(0, 0, Math.min(given - 0.5, length - 1), 100, "given"));
  parts.push(h("line", { x1: 0, x2: length - 1, y1: 100, y2: 100, class: "axis" }));
  for (const mark of marks) parts.push(h("line", { x1: mark, x2: mark, y1: 0, y2: 100, class: "mark" }));
  for (const { values, kind = "" } of all) {
    const points = [...values.entries()].filter(([, value]) => Number.isFinite(value));
    const path = points.map(([i, value], n) => `${n ? "L" : "M"}${x(i)} ${y(Math.min(value, high))}`).join("");
    parts.push(h("path", { d: path, class: `curve ${kind}` }));
  }
  framed(svg, Math.max(length - 1, 1), label);
  svg.replaceChildren(...parts);
}

function framed(svg, width, label) {
  svg.setAttribute("viewBox", `0 0 ${width} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
}

export const chart = (height) => {
  const svg = h("svg", { class: "chart" });
  if (height) svg.style.height = `${height}px`;
  return svg;
};
