// A MADE (Germain et al., 2015, arXiv 1502.03509) in plain JavaScript: the same conditionals as
// autoregress computes, from weights that are inside the page. Arithmetic is in float64.
"use strict";

// ---- Conditionals of one symbol ------------------------------------------------------------------

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const sum = (values) => values.reduce((a, b) => a + b, 0);

function softmax(logits) {
  const most = Math.max(...logits);
  const exps = logits.map((logit) => Math.exp(logit - most));
  const total = sum(exps);
  return exps.map((e) => e / total);
}

function logSumExp(values) {
  const most = Math.max(...values);
  return most === -Infinity ? most : most + Math.log(sum(values.map((v) => Math.exp(v - most))));
}

// Where ordered levels lie: the logits of the distribution function of exp(logMasses).
function scaleOf(logMasses) {
  const mass = softmax(logMasses), below = [], above = [];
  mass.forEach((m, i) => (below[i] = (below[i - 1] || 0) + m));
  for (let i = mass.length - 1; i >= 0; i--) above[i] = (above[i + 1] || 0) + mass[i];
  const edges = below.slice(0, -1).map((b, i) => Math.log(b) - Math.log(above[i + 1]));
  const middles = mass.map((m, i) => Math.log(below[i] - m / 2) - Math.log(above[i] - m / 2));
  let least = edges.length > 1 ? Infinity : 1;
  for (let i = 1; i < edges.length; i++) least = Math.min(least, edges[i] - edges[i - 1]);
  least = Math.min(least, 1);
  return { edges, middles, narrowest: Math.max(Math.log(least), -10) - 3 };
}

const UNIFORM = 2 ** -12, WIDEST = 40, SPREAD = 0.5, FEW = 32, HARMONICS = 3, GRID = 4096;

const KINDS = {
  bits: {
    inputs: () => 1,
    outputs: () => 1,
    encode: (kind, symbol) => [[0, symbol]],
    table: (kind, columns) => [sigmoid(-columns[0]), sigmoid(columns[0])],
  },
  categories: {
    inputs: (kind) => kind.levels,
    outputs: (kind) => kind.levels,
    encode: (kind, symbol) => [[symbol, 1]],
    table: (kind, columns) => softmax(columns),
  },
  // Ordered levels: a mixture of logistics on a scale (PixelCNN++, arXiv 1701.05517, eq. 2).
  numbers: {
    inputs: (kind) =>
      2 + (kind.levels <= FEW ? kind.levels : 1) + 2 * HARMONICS * kind.periods.length,
    outputs: (kind) => 3 * kind.mixture,
    encode: (kind, symbol) => {
      const middle = kind.scale.middles[symbol];
      const last = kind.levels <= FEW ? 2 + symbol : 2;
      const inputs = [
        [0, (middle * Math.sqrt(3)) / Math.PI],
        [1, (sigmoid(middle) - 0.5) * Math.sqrt(12)],
        [last, 1],
      ];
      let column = 2 + (kind.levels <= FEW ? kind.levels : 1);
      for (const period of kind.periods)
        for (const wave of [Math.sin, Math.cos])
          for (let n = 1; n <= HARMONICS; n++) {
            const value = wave(((2 * Math.PI * symbol) / period) * n) / (2 * n);
            inputs.push([column++, Math.round(value * GRID) / GRID]);
          }
      return inputs;
    },
    table: (kind, columns) => {
      const M = kind.mixture, K = kind.levels;
      const weights = softmax(columns.slice(0, M));
      const variance = 1 - (SPREAD / Math.PI) ** 2 * (1 - M ** -2);
      const means = [], inverse = [];
      for (let m = 0; m < M; m++) {
        means.push(columns[M + m] + (((m + 0.5) * 2) / M - 1) * SPREAD);
        const logScale = Math.min(columns[2 * M + m] + Math.log(variance) / 2, WIDEST);
        inverse.push(Math.exp(-Math.max(logScale, kind.scale.narrowest)));
      }
      const table = [];
      let before = 0;
      for (let x = 0; x < K; x++) {
        let upto = 1;
        if (x < K - 1) {
          upto = ((x + 1) * UNIFORM) / K;
          for (let m = 0; m < M; m++) {
            const z = (kind.scale.edges[x] - means[m]) * inverse[m];
            upto += (1 - UNIFORM) * weights[m] * sigmoid(z);
          }
        }
        table.push(upto - before);
        before = upto;
      }
      return table;
    },
  },
};

const ACTIVATIONS = {
  relu: (z) => Math.max(z, 0),
  softplus: (z) => (z > 20 ? z : Math.log1p(Math.exp(z))),
  tanh: Math.tanh,
  sigmoid,
  elu: (z) => (z > 0 ? z : Math.expm1(z)),
  silu: (z) => z * sigmoid(z),
  gelu: (z) => (z / 2) * (1 + erf(z / Math.SQRT2)),
};

// The error function, by its series, and by its continued fraction further out.
function erf(x) {
  if (x < 0) return -erf(-x);
  if (x > 6) return 1;
  if (x < 2.5) {
    let term = x, total = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (x + fraction);
  return 1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

// ---- The network ---------------------------------------------------------------------------------

class Made {
  constructor(page) {
    Object.assign(this, page.model);
    this.dims = this.kinds.length;
    this.act = ACTIVATIONS[this.activation];
    const bytes = Uint8Array.from(atob(page.weights), (c) => c.charCodeAt(0));
    const floats = new Float32Array(bytes.buffer);
    const weights = {};
    for (const [name, [start, ...shape]] of Object.entries(this.tensors)) {
      const size = shape.reduce((a, b) => a * b, 1);
      weights[name] = { shape, data: floats.subarray(start, start + size) };
    }
    let mass = 0, input = 0, output = 0;
    // Ordered dimensions of one kind have their masses together, as the library stores them.
    for (const [type, levels, dims] of this.groups)
      for (const dim of dims)
        if (type === "numbers") {
          const own = weights["encoding.log_masses"].data.subarray(mass, (mass += levels));
          this.kinds[dim].scale = scaleOf(Array.from(own));
        }
    for (const kind of this.kinds) {
      // The number of symbols, and the first columns.
      Object.assign(kind, { size: kind.levels || 2, input, output });
      input += KINDS[kind.type].inputs(kind);
      output += KINDS[kind.type].outputs(kind);
    }
    this.inputs = input;
    // Each layer as rows by source, and the same of its conditioning weights, if it has them.
    const layer = (name, bySource) => {
      const of = (part) => weights[`${name}.${part}`] && rows(weights[`${name}.${part}`], bySource);
      const bias = weights[`${name}.bias`];
      return { weight: of("weight"), conditioning: of("conditioning"), bias: bias && bias.data };
    };
    this.layers = this.nodes.map((_, j) => layer(`layers.${j}`, j === 0));
    this.layers.push(layer("output", false));
    this.skip = this.direct ? layer("direct", false).weight : null;
    this.norms = this.norm
      ? this.nodes.map((_, j) => [weights[`norms.${j}.gain`].data, weights[`norms.${j}.bias`].data])
      : null;
    // For each connectivity and layer the units of each degree.
    this.units = this.degrees.map((layers) =>
      layers.map((degrees) => {
        const by = Array.from({ length: this.dims + 1 }, () => []);
        degrees.forEach((degree, unit) => by[degree].push(unit));
        return by;
      })
    );
  }

  member(index) {
    return {
      visit: this.orderings[index % this.orderings.length],
      units: this.units[index % this.units.length],
    };
  }

  get members() {
    const [a, b] = [this.orderings.length, this.units.length];
    const gcd = (x, y) => (y ? gcd(y, x % y) : x);
    return Array.from({ length: (a * b) / gcd(a, b) }, (_, i) => this.member(i));
  }

  // The members, after they have visited the known symbols of x, and log p of these, in nats. x holds
  // −1 for unknown symbols, which are passed over, or visited as gaps.
  follow(x, { gaps }) {
    return this.members.map((member) => {
      const chain = new Chain(this, member.units);
      let logProb = 0;
      for (const dim of member.visit.filter((d) => gaps || x[d] >= 0)) {
        if (x[dim] >= 0) logProb += Math.log(chain.table(dim)[x[dim]]);
        chain.enter(dim, x[dim]);
      }
      return { member, chain, logProb };
    });
  }

  // log p of the known symbols, in nats.
  logProb(x) {
    const each = this.follow(x, { gaps: this.gaps });
    return logSumExp(each.map((own) => own.logProb)) - Math.log(each.length);
  }

  // The members with the known symbols first, and their posterior weights.
  given(x) {
    const each = this.follow(x, { gaps: false });
    const weights = softmax(each.map((own) => own.logProb));
    return each.map((own, i) => ({ ...own, weight: weights[i] }));
  }

  // The conditionals given the known symbols: of the members, or of the network without an ordering,
  // whose outputs see all known inputs.
  conditionals(x) {
    if (!this.unordered) {
      const each = this.given(x);
      return (dim) => mean(each, (own) => own.chain.table(dim));
    }
    const chain = new Chain(this, this.units[0]);
    x.forEach((symbol, dim) => chain.take(dim, symbol));
    x.forEach(() => chain.advance());
    return (dim) => chain.table(dim);
  }

  // p(x_dim | known) of each unknown dimension, in one pass; null where it is known.
  marginals(x) {
    const of = this.conditionals(x);
    return x.map((symbol, dim) => (symbol >= 0 ? null : of(dim)));
  }

  // p(x_dim | the other known symbols).
  conditional(dim, x) {
    return this.conditionals(x.map((symbol, d) => (d === dim ? -1 : symbol)))(dim);
  }

  // Yields [dim, symbol] of each unknown symbol as it is drawn from p(unknown | known).
  *complete(x, each = this.given(x), random = Math.random) {
    const { member, chain } = each[draw(each.map((own) => own.weight), random())];
    const own = chain.copy();
    for (const dim of member.visit.filter((d) => x[d] < 0)) {
      const symbol = draw(own.table(dim), random());
      own.enter(dim, symbol);
      yield [dim, symbol];
    }
  }
}

// A tensor as rows by source: its own rows, or its columns.
function rows({ shape: [n, m], data }, bySource) {
  if (bySource) return Array.from({ length: n }, (_, i) => data.subarray(i * m, (i + 1) * m));
  return Array.from({ length: m }, (_, j) => Float32Array.from({ length: n }, (_, i) => data[i * m + j]));
}

function mean(each, tableOf) {
  const out = [];
  for (const own of each)
    tableOf(own).forEach((p, k) => (out[k] = (out[k] || 0) + own.weight * p));
  return out;
}

function draw(probabilities, uniform) {
  let left = uniform * sum(probabilities);
  for (let k = 0; k < probabilities.length; k++) if ((left -= probabilities[k]) < 0) return k;
  return probabilities.length - 1;
}

// The network, one dimension after another: each hidden unit is computed once, when the last input
// that it may see is known.
class Chain {
  constructor(made, units) {
    Object.assign(this, { made, units, step: 0 });
    this.pending = made.layers.map((layer) => Float64Array.from(layer.bias));
    this.streams = made.nodes.map((_, j) => new Float64Array(this.pending[j].length));
    this.sums = made.nodes.map(() => [0, 0, 0]); // of the units so far: sum, squares, number
  }

  copy() {
    const other = Object.assign(Object.create(Chain.prototype), this);
    other.pending = this.pending.map((each) => each.slice());
    other.streams = this.streams.map((each) => each.slice());
    other.sums = this.sums.map((each) => each.slice());
    return other;
  }

  // The distribution of a dimension given all that has entered.
  table(dim) {
    const kind = this.made.kinds[dim], { outputs, table } = KINDS[kind.type];
    const columns = this.pending[this.pending.length - 1];
    return table(kind, Array.from(columns.subarray(kind.output, kind.output + outputs(kind))));
  }

  enter(dim, symbol) {
    this.take(dim, symbol);
    this.advance();
  }

  // Takes in a symbol; −1 is a gap.
  take(dim, symbol) {
    const { made, pending } = this, kind = made.kinds[dim];
    for (const [column, value] of symbol < 0 ? [] : KINDS[kind.type].encode(kind, symbol)) {
      add(pending[0], made.layers[0].weight[kind.input + column], value);
      if (made.skip) add(pending[pending.length - 1], made.skip[kind.input + column], value);
    }
    if (made.layers[0].conditioning)
      for (let column = 0; column < KINDS[kind.type].inputs(kind); column++)
        add(pending[0], made.layers[0].conditioning[kind.input + column], 1);
  }

  // Computes the units of the next degree.
  advance() {
    this.step += 1;
    this.made.nodes.forEach((layer, j) => this.finish(j, this.units[layer][this.step]));
  }

  // Computes the units of a node that have just seen their last input.
  finish(j, units) {
    const { made, pending, streams } = this, sums = this.sums[j], next = made.layers[j + 1];
    for (const unit of units) {
      let z = pending[j][unit];
      if (made.residual && j >= 2 && j % 2 === 0) z += streams[j - 2][unit];
      streams[j][unit] = z;
      sums[0] += z;
      sums[1] += z * z;
      sums[2] += 1;
    }
    // Normalised over the units so far, and an imaginary one of value 0 and square 1.
    const mean = sums[0] / (sums[2] + 1);
    const inverse = 1 / Math.sqrt((sums[1] + 1) / (sums[2] + 1) - mean * mean);
    for (const unit of units) {
      let z = streams[j][unit];
      if (made.norms) z = (z - mean) * inverse * made.norms[j][0][unit] + made.norms[j][1][unit];
      add(pending[j + 1], next.weight[unit], made.act(z));
      if (next.conditioning) add(pending[j + 1], next.conditioning[unit], 1);
    }
  }
}

function add(total, row, factor) {
  if (factor !== 0) for (let i = 0; i < row.length; i++) total[i] += factor * row[i];
}

const page = JSON.parse(document.getElementById("page").textContent);
const made = new Made(page);
