// Questions to the server; answers are server-sent events.

const viewer = Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2);
const open = new Map();

export class Refused extends Error {}

/** Each event of an answer; a newer question with the same topic ends the older one. */
async function* stream(address, topic, options = {}) {
  open.get(topic)?.abort();
  const control = new AbortController();
  open.set(topic, control);
  try {
    const reply = await fetch(address, {
      ...options, signal: control.signal, headers: { "x-viewer": viewer, ...options.headers },
    });
    if (!reply.ok) throw new Refused((await reply.json().catch(() => ({}))).error ?? reply.statusText);
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (waiting + value).split("\n\n");
      waiting = blocks.pop();
      for (const block of blocks) {
        if (block.startsWith("event: end")) return;
        const event = JSON.parse(block.slice("data: ".length));
        if (event.error) throw new Refused(event.error);
        yield event;
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || control.signal.aborted) return;
    if (error instanceof TypeError) throw new Refused("the server does not answer; is it running?");
    throw error;
  } finally {
    control.abort();
    if (open.get(topic) === control) open.delete(topic);
  }
}

const path = (run) => run.split("/").map(encodeURIComponent).join("/");

export const ask = (run, question, given, topic = question) =>
  stream(`api/ask/${question}/${path(run)}`, `${topic} ${run}`, {
    method: "POST", body: JSON.stringify(given), headers: { "content-type": "application/json" },
  });

export const upload = (run, file) =>
  stream(`api/upload/${path(run)}?name=${encodeURIComponent(file.name)}`, `upload ${run}`, {
    method: "POST", body: file, headers: { "content-type": "application/octet-stream" },
  });

export const follow = (run) => stream(`api/follow/${path(run)}`, `follow ${run}`);

export const describe = (runs) =>
  first(stream(`api/page?${new URLSearchParams(runs.map((run) => ["run", run]))}`, "describe"));

/** The first event of an answer; undefined if a newer question came between. */
export async function first(events) {
  for await (const event of events) return event;
  return undefined;
}

/** Ends the answers on a topic. */
export function leave(topic) {
  for (const [name, control] of open) if (name.startsWith(topic)) control.abort();
}
