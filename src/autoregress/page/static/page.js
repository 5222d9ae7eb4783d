// The page: which run is shown, and how.

import { ask, describe, first } from "./ask.js";
import { clips } from "./clips.js";
import { byId, count, h, roving, save, toast } from "./dom.js";
import { images } from "./images.js";
import { forgetColours } from "./paint.js";
import * as state from "./state.js";
import { check, explore } from "./tables.js";
import { training } from "./training.js";

const VIEWS = {
  image: { paint: ["Paint", images] },
  clip: { film: ["Film", clips] },
  table: { explore: ["What if", explore], check: ["Check a file", check] },
  none: {},
};

let page;
let shown;

async function start() {
  const wanted = [state.get("run"), state.get("beside")].filter(Boolean);
  try {
    page = await describe(wanted);
  } catch (error) {
    byId("main").replaceChildren(h("p", { class: "empty error" }, error.message));
    return;
  }
  if (!page) return;
  if (!wanted.length && page.shown.length > 1) state.set({ run: page.shown[0], beside: page.shown[1] });
  chooser();
  show();
}

function chooser() {
  const [one, other] = page.shown;
  const run = byId("run");
  run.replaceChildren(...page.runs.map((name) => h("option", { value: name, selected: name === one }, name)));
  byId("beside-label").hidden = page.runs.length < 2;
  byId("beside").replaceChildren(h("option", { value: "" }, "nothing"),
    ...page.runs.filter((name) => name !== one).map((name) => h("option", { value: name, selected: name === other }, name)));
  const [subject] = page.subjects;
  byId("family").textContent = subject.family ? `${subject.family}, ${count(subject.parameters)} parameters` : "";
  document.title = `${page.shown.join(" and ")} · autoregress`;
}

byId("run").addEventListener("change", (event) => {
  state.keep();
  state.set({ run: event.target.value });
  start();
});
byId("beside").addEventListener("change", (event) => {
  state.set({ run: page.shown[0], beside: event.target.value });
  start();
});
addEventListener("hashchange", () => { state.read(); start(); });

function different(one, other) {
  const kind = (subject) => JSON.stringify([subject.kind, subject.shape, subject.levels, subject.labels, subject.columns?.map((column) => [column.name, column.edges, column.labels])]);
  return other && kind(one) !== kind(other);
}

function show() {
  const [subject, other] = page.subjects;
  const tabs = { ...VIEWS[subject.kind] };
  if (subject.trained || subject.training) tabs.training = ["Training", training];
  const names = Object.keys(tabs);
  const wanted = state.get("tab");
  const chosen = names.includes(wanted) ? wanted : subject.training && subject.kind === "none" ? "training" : names[0];
  const list = byId("views");
  list.replaceChildren(...(names.length > 1 ? names : []).map((name) => h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-selected": String(name === chosen), "aria-controls": "main",
    tabIndex: name === chosen ? 0 : -1,
    onclick: () => { state.set({ tab: name === names[0] ? "" : name }); show(); byId(`tab-${name}`).focus(); },
  }, tabs[name][0])));
  shown?.end?.();
  forgetColours();
  const host = byId("main");
  host.setAttribute("aria-busy", "false");
  byId("code").hidden = subject.kind === "none" || chosen === "training";
  if (!chosen) {
    host.replaceChildren(h("p", { class: "empty" }, subject.reason));
    shown = undefined;
    return;
  }
  if (chosen !== "training" && different(subject, other)) {
    host.replaceChildren(h("p", { class: "empty" }, other.reason ?? `${subject.name} and ${other.name} have no evidence in common: the shapes, levels, columns or ranges of their data differ. Choose another run beside.`));
    return;
  }
  shown = tabs[chosen][1](host, page.subjects, start);
}

roving(byId("views"), true);

byId("share").addEventListener("click", async () => {
  state.set({ run: page.shown[0] });
  state.write();
  try {
    await navigator.clipboard.writeText(location.href);
    toast("Link copied: it shows this page as it is now");
  } catch {
    toast("The link is in the address bar");
  }
});

let partial;
byId("code").addEventListener("click", async () => {
  try {
    const found = await first(ask(page.shown[0], "lines", shown.lines()));
    if (!found) return;
    byId("lines-python").textContent = found.python;
    byId("lines-command").textContent = found.command;
    byId("lines-file").hidden = !found.partial;
    partial = found.partial;
    byId("lines").showModal();
  } catch (error) {
    toast(error.message, true);
  }
});
byId("lines").addEventListener("click", async (event) => {
  const { target } = event;
  if (target === event.currentTarget || "close" in target.dataset) event.currentTarget.close();
  else if (target.dataset.copy) {
    await navigator.clipboard.writeText(byId(`lines-${target.dataset.copy}`).textContent).catch(() => {});
    target.textContent = "Copied";
    setTimeout(() => { target.textContent = "Copy"; }, 1500);
  } else if ("file" in target.dataset) save(state.fromBase64(partial), "partial.npz", "application/zip");
});
document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault(); // the address holds the evidence
  byId("main").focus();
});

start();
