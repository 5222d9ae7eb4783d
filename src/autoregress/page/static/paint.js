// Events as pictures: (frames, channels, height, width), symbols from 0 to levels − 1.

import { fromBase64, toBase64 } from "./state.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const watching = new Set();
dark.addEventListener("change", () => watching.forEach((redraw) => redraw()));
/** Calls a function when the colours of the page change. */
export const onColours = (redraw) => watching.add(redraw);
export const forgetColours = () => watching.clear();

const KNOWN = [[10, 12, 15], [255, 255, 255]];
const DRAWN = [[15, 41, 84], [176, 210, 255]];
const DRAWN_B = [[82, 16, 51], [255, 190, 223]];
const open = () => (dark.matches ? [31, 42, 59] : [223, 232, 245]);
const HEAT = {
  light: [[255, 241, 222], [255, 176, 102], [224, 80, 15], [143, 29, 0]],
  dark: [[43, 33, 26], [138, 58, 10], [242, 116, 31], [255, 217, 168]],
};

const mix = (a, b, t) => a.map((value, i) => value + (b[i] - value) * t);

export function heat(t) {
  const stops = dark.matches ? HEAT.dark : HEAT.light;
  const place = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(place), stops.length - 2);
  return mix(stops[i], stops[i + 1], place - i);
}

/** What a picture is made of. */
export class Shape {
  constructor([frames, channels, height, width], levels) {
    Object.assign(this, { frames, channels, height, width, levels });
    this.pixels = height * width;
    this.frame = channels * this.pixels;
    this.dims = frames * this.frame;
  }

  /** The dimensions of the channels of a pixel. */
  at(row, column, frame = 0) {
    const start = frame * this.frame + row * this.width + column;
    return Array.from({ length: this.channels }, (_, channel) => start + channel * this.pixels);
  }

  bytes(symbols) {
    const values = Uint16Array.from(symbols, (symbol) => Math.max(symbol, 0));
    return toBase64(this.levels <= 256 ? Uint8Array.from(values) : new Uint8Array(values.buffer));
  }

  symbols(text) {
    const bytes = fromBase64(text);
    return Int32Array.from(this.levels <= 256 ? bytes : new Uint16Array(bytes.buffer));
  }

  mask(symbols) {
    return toBase64(Uint8Array.from(symbols, (symbol) => (symbol >= 0 ? 1 : 0)));
  }

  given(symbols, label) {
    return { x: this.bytes(symbols), known: this.mask(symbols), label: label ?? null };
  }
}

/** The colour of levels (one a channel): known ones as they are, drawn ones of a grey image blue. */
export function colour(shape, levels, how) {
  if (levels.some((level) => level < 0)) return open();
  const shares = levels.map((level) => level / (shape.levels - 1));
  if (shape.channels === 3) return shares.map((share) => 255 * share);
  const [low, high] = { known: KNOWN, drawn: DRAWN, drawnB: DRAWN_B }[how];
  return mix(low, high, shares[0]);
}

/**
 * Draws a frame on a canvas.
 * @param symbols levels, or −1 for unknown; may be fractions
 * @param how a function from a pixel's place to "known", "drawn" or "drawnB"
 */
export function draw(canvas, shape, symbols, how, frame = 0) {
  fill(canvas, shape, (place) => {
    const levels = shape.at(0, place, frame).map((dim) => symbols[dim]);
    return colour(shape, levels, how(place));
  });
}

/** Draws a heat map of nats a pixel; unknown pixels stay empty. */
export function drawHeat(canvas, shape, nats, known, most, frame = 0) {
  fill(canvas, shape, (place) => {
    const dims = shape.at(0, place, frame);
    if (!dims.some((dim) => known[dim])) return open();
    return heat(dims.reduce((sum, dim) => sum + nats[dim], 0) / most);
  });
}

function fill(canvas, shape, at) {
  const { height, width } = shape;
  const image = new ImageData(width, height);
  for (let place = 0; place < height * width; place += 1) {
    const [red, green, blue] = at(place);
    image.data.set([red, green, blue, 255], 4 * place);
  }
  const zoom = Math.max(1, Math.floor(640 / Math.max(height, width)));
  if (canvas.width !== width * zoom || canvas.height !== height * zoom) {
    canvas.width = width * zoom;
    canvas.height = height * zoom;
  }
  const buffer = new OffscreenCanvas(width, height);
  buffer.getContext("2d").putImageData(image, 0, 0);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(buffer, 0, 0, canvas.width, canvas.height);
}

/** Fine lines between the pixels of a small picture, and a frame around one of them. */
export function ruled(canvas, shape, chosen) {
  const pen = canvas.getContext("2d");
  const zoom = canvas.width / shape.width;
  if (zoom >= 18) {
    pen.strokeStyle = dark.matches ? "rgb(255 255 255 / 9%)" : "rgb(30 50 80 / 11%)";
    pen.lineWidth = 1;
    pen.beginPath();
    for (let i = 1; i < shape.width; i += 1) { pen.moveTo(i * zoom, 0); pen.lineTo(i * zoom, canvas.height); }
    for (let i = 1; i < shape.height; i += 1) { pen.moveTo(0, i * zoom); pen.lineTo(canvas.width, i * zoom); }
    pen.stroke();
  }
  if (chosen) {
    const [row, column] = chosen;
    pen.lineWidth = Math.max(2, zoom / 16);
    pen.strokeStyle = "#fff";
    pen.strokeRect(column * zoom + 1, row * zoom + 1, zoom - 2, zoom - 2);
    pen.strokeStyle = dark.matches ? "#6ea8ff" : "#1d63d1";
    pen.strokeRect(column * zoom, row * zoom, zoom, zoom);
  }
}

/** Hatches all from a row on, which the model cannot be given. */
export function closed(canvas, shape, row) {
  const pen = canvas.getContext("2d");
  const top = (row * canvas.height) / shape.height;
  pen.save();
  pen.beginPath();
  pen.rect(0, top, canvas.width, canvas.height - top);
  pen.clip();
  pen.strokeStyle = dark.matches ? "rgb(255 255 255 / 10%)" : "rgb(30 50 80 / 14%)";
  pen.lineWidth = 2;
  pen.beginPath();
  for (let x = -canvas.height; x < canvas.width; x += 22) {
    pen.moveTo(x, canvas.height);
    pen.lineTo(x + canvas.height, 0);
  }
  pen.stroke();
  pen.restore();
  pen.fillStyle = dark.matches ? "#6ea8ff" : "#1d63d1";
  pen.fillRect(0, Math.min(top, canvas.height - 4) - 2, canvas.width, 4);
}

/**
 * A PNG of several frames side by side, each pixel enlarged.
 * @param frames [{ symbols, frame, how }]
 */
export function sheet(shape, frames, across) {
  const canvas = document.createElement("canvas");
  const zoom = Math.max(1, Math.floor(160 / shape.width));
  const [wide, high] = [shape.width * zoom + 4, shape.height * zoom + 4];
  canvas.width = across * wide - 4;
  canvas.height = Math.ceil(frames.length / across) * high - 4;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#808080";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  frames.forEach(({ symbols, frame, how }, i) => {
    const own = document.createElement("canvas");
    draw(own, shape, symbols, how, frame);
    pen.drawImage(own, (i % across) * wide, Math.floor(i / across) * high, wide - 4, high - 4);
  });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
