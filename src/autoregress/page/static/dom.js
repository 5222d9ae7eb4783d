// Elements, numbers and messages.

/** An element; properties starting with "on" are listeners, "data-…" and "aria-…" attributes. */
export function h(tag, props = {}, ...children) {
  const svg = ["svg", "rect", "path", "line", "g", "title"].includes(tag);
  const node = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (svg || name.includes("-") || name === "role" || name === "for") {
      node.setAttribute(name, value);
    } else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** A number in few characters. */
export function short(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace("e-", "e−");
  return value.toLocaleString("en", { maximumSignificantDigits: size >= 100 ? 4 : digits });
}

export function bits(value) {
  return value.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

export function percent(p) {
  if (p > 0 && p < 0.001) return "<0.1 %";
  return `${(100 * p).toLocaleString("en", { maximumFractionDigits: p < 0.1 ? 1 : 0 })} %`;
}

export const count = (n) => n.toLocaleString("en");

/** Reads a text out to people who hear the page; topics do not interrupt each other. */
const saying = {};
export function say(text, topic = "news") {
  clearTimeout(saying[topic]);
  saying[topic] = setTimeout(() => { byId(`said-${topic}`).textContent = text; }, 250);
}

/** Shows a text for a moment. */
let showing;
export function toast(text, wrong = false) {
  const node = byId("toast");
  node.textContent = text;
  node.classList.toggle("wrong", wrong);
  node.hidden = false;
  say(text);
  clearTimeout(showing);
  showing = setTimeout(() => { node.hidden = true; }, wrong ? 7000 : 2600);
}

export function save(content, name, kind) {
  const blob = content instanceof Blob ? content : new Blob([content], { type: kind });
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Calls a function once after a pause. */
export function later(wait, call) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), wait);
  };
}

/** Moves the focus among the children of an element by the arrow keys. */
export function roving(host, choose) {
  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const all = [...host.querySelectorAll("button:not(:disabled)")];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
    if (choose) next.click();
    event.preventDefault();
  });
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
