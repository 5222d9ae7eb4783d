// The address holds what the page shows: names and values after the #.

const values = new URLSearchParams(location.hash.slice(1));

export const get = (name) => values.get(name);

let writing;
/** Sets values; undefined or "" removes one. The address follows a moment later. */
export function set(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") values.delete(name);
    else values.set(name, value);
  }
  clearTimeout(writing);
  writing = setTimeout(write, 120);
}

export function write() {
  clearTimeout(writing);
  history.replaceState(null, "", `#${values}`);
}

/** Reads the address anew, when a person has changed it. */
export function read() {
  for (const name of [...values.keys()]) values.delete(name);
  new URLSearchParams(location.hash.slice(1)).forEach((value, name) => values.set(name, value));
}

/** Forgets everything but some values. */
export function keep(...names) {
  for (const name of [...values.keys()]) if (!names.includes(name)) values.delete(name);
}

// Symbols in a text: runs of equal numbers, in base64 for addresses.

const LARGEST = 24000; // characters of an address

/** Symbols (−1 where unknown) as a text; undefined if it is too long for an address. */
export function packed(symbols) {
  const bytes = [];
  for (let i = 0; i < symbols.length; ) {
    let run = 1;
    while (run < 255 && i + run < symbols.length && symbols[i + run] === symbols[i]) run += 1;
    const value = symbols[i] + 1;
    bytes.push(run, value & 255, value >> 8);
    i += run;
  }
  const text = toBase64(Uint8Array.from(bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  return text.length > LARGEST ? undefined : text;
}

/** The symbols in a text; undefined if their number is another. */
export function unpacked(text, length, levels) {
  try {
    const bytes = fromBase64(text.replace(/-/g, "+").replace(/_/g, "/"));
    const symbols = new Int32Array(length);
    let at = 0;
    for (let i = 0; i + 2 < bytes.length; i += 3) {
      const value = bytes[i + 1] + 256 * bytes[i + 2] - 1;
      if (at + bytes[i] > length || value >= levels) return undefined;
      symbols.fill(value, at, at + bytes[i]);
      at += bytes[i];
    }
    return at === length ? symbols : undefined;
  } catch {
    return undefined;
  }
}

export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
