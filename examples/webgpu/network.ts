/** A small network that never leaves the GPU: it tells two spirals apart. Forward and backward are the shaders below; Adamax moves the weights where
 *  the shaders read them. What comes back is one number every fifty steps, and a picture at the end. */

import { Adamax, fit, type Variable } from "adamax";
import type { WebGpuBackend } from "adamax/webgpu";

export const POINTS = 240;
const HIDDEN = 16;
/** Of a picture of the plane. */
export const SIDE = 160;
/** Steps between two looks at the loss. */
const LOOK = 50;

/** The weights, one variable each, in one buffer. A variable may begin on any multiple of 4 bytes; on 16, steps are faster. */
const SHAPES = { w1: [HIDDEN, 2], b1: [HIDDEN], w2: [HIDDEN, HIDDEN], b2: [HIDDEN], w3: [HIDDEN], b3: [4] } as const;
type Name = keyof typeof SHAPES;
const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const WEIGHTS = Object.values(SHAPES).reduce((sum, shape) => sum + sizeOf(shape), 0);
const begins = {} as Record<Name, number>;
let end = 0;
for (const name of Object.keys(SHAPES) as Name[]) {
  begins[name] = end;
  end += sizeOf(SHAPES[name]);
}

const CONSTANTS = `
${Object.entries(begins)
  .map(([name, begin]) => `const ${name.toUpperCase()} = ${begin}u;`)
  .join(" ")}
const HIDDEN = ${HIDDEN}u;
const POINTS = ${POINTS}u;
const WEIGHTS = ${WEIGHTS}u;
// What is kept of a point: two layers, what they have to do with the loss, and the loss.
const A1 = 0u; const A2 = HIDDEN; const D1 = 2u * HIDDEN; const D2 = 3u * HIDDEN; const D3 = 4u * HIDDEN; const LOSS = D3 + 1u;
const KEPT = D3 + 2u;
fn positive(z: f32) -> f32 { return 1.0 / (1.0 + exp(-z)); }
`;

/** A thread for each point: what the network says of it, and back from there. */
const THERE_AND_BACK = `${CONSTANTS}
struct Point { x: f32, y: f32, kind: f32, nothing: f32 }
@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read> points: array<Point>;
@group(0) @binding(2) var<storage, read_write> kept: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= POINTS) { return; }
  let point = points[id.x];
  let at = id.x * KEPT;
  for (var i = 0u; i < HIDDEN; i++) {
    kept[at + A1 + i] = tanh(weights[W1 + 2u * i] * point.x + weights[W1 + 2u * i + 1u] * point.y + weights[B1 + i]);
  }
  var z = weights[B3];
  for (var j = 0u; j < HIDDEN; j++) {
    var sum = weights[B2 + j];
    for (var i = 0u; i < HIDDEN; i++) { sum += weights[W2 + j * HIDDEN + i] * kept[at + A1 + i]; }
    let a = tanh(sum);
    kept[at + A2 + j] = a;
    z += weights[W3 + j] * a;
  }
  kept[at + LOSS] = max(z, 0.0) - z * point.kind + log(1.0 + exp(-abs(z)));
  let d3 = (positive(z) - point.kind) / f32(POINTS);
  kept[at + D3] = d3;
  for (var j = 0u; j < HIDDEN; j++) {
    let a = kept[at + A2 + j];
    kept[at + D2 + j] = d3 * weights[W3 + j] * (1.0 - a * a);
  }
  for (var i = 0u; i < HIDDEN; i++) {
    var sum = 0.0;
    for (var j = 0u; j < HIDDEN; j++) { sum += weights[W2 + j * HIDDEN + i] * kept[at + D2 + j]; }
    let a = kept[at + A1 + i];
    kept[at + D1 + i] = sum * (1.0 - a * a);
  }
}`;

/** A thread for each weight: its gradient, summed over the points. One more sums the loss. */
const GRADIENTS = `${CONSTANTS}
struct Point { x: f32, y: f32, kind: f32, nothing: f32 }
@group(0) @binding(0) var<storage, read> points: array<Point>;
@group(0) @binding(1) var<storage, read> kept: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let weight = id.x;
  if (weight > WEIGHTS) { return; }
  var sum = 0.0;
  for (var p = 0u; p < POINTS; p++) {
    let at = p * KEPT;
    if (weight == WEIGHTS) { sum += kept[at + LOSS] / f32(POINTS); }
    else if (weight >= B3) { sum += select(0.0, kept[at + D3], weight == B3); }
    else if (weight >= W3) { sum += kept[at + D3] * kept[at + A2 + weight - W3]; }
    else if (weight >= B2) { sum += kept[at + D2 + weight - B2]; }
    else if (weight >= W2) { sum += kept[at + D2 + (weight - W2) / HIDDEN] * kept[at + A1 + (weight - W2) % HIDDEN]; }
    else if (weight >= B1) { sum += kept[at + D1 + weight - B1]; }
    else { sum += kept[at + D1 + weight / 2u] * select(points[p].x, points[p].y, weight % 2u == 1u); }
  }
  gradients[weight] = sum;
}`;

/** A thread for each pixel: from 0 to 1, which spiral the network sees there. */
const PICTURE = `${CONSTANTS}
@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> pixels: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= ${SIDE * SIDE}u) { return; }
  let x = 2.0 * f32(id.x % ${SIDE}u) / ${SIDE - 1}.0 - 1.0;
  let y = 1.0 - 2.0 * f32(id.x / ${SIDE}u) / ${SIDE - 1}.0;
  var first: array<f32, HIDDEN>;
  for (var i = 0u; i < HIDDEN; i++) { first[i] = tanh(weights[W1 + 2u * i] * x + weights[W1 + 2u * i + 1u] * y + weights[B1 + i]); }
  var z = weights[B3];
  for (var j = 0u; j < HIDDEN; j++) {
    var sum = weights[B2 + j];
    for (var i = 0u; i < HIDDEN; i++) { sum += weights[W2 + j * HIDDEN + i] * first[i]; }
    z += weights[W3 + j] * tanh(sum);
  }
  pixels[id.x] = positive(z);
}`;

/** The same numbers each time (mulberry32), uniform in [0, 1). */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

/** Points of two spirals, side by side: x, y, which of them, and nothing. */
export const spirals = (): Float32Array<ArrayBuffer> => {
  const next = random(1);
  const points = new Float32Array(4 * POINTS);
  for (let p = 0; p < POINTS; p++) {
    const kind = p % 2;
    const far = 0.1 + 0.85 * Math.sqrt(next());
    const angle = 7 * far + kind * Math.PI;
    points.set([far * Math.cos(angle) + 0.02 * (next() - 0.5), far * Math.sin(angle) + 0.02 * (next() - 0.5), kind, 0], 4 * p);
  }
  return points;
};

interface Kernel {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: number;
}

export class Network {
  readonly optimizer: Adamax;
  readonly #device: GPUDevice;
  /** With where its gradient begins, in bytes. */
  readonly #variables: readonly { variable: Variable; offset: number }[];
  readonly #gradients: GPUBuffer;
  readonly #pixels: GPUBuffer;
  readonly #step: readonly Kernel[];
  readonly #picture: Kernel;
  readonly #buffers: GPUBuffer[] = [];
  #steps = 0;
  #loss = Number.NaN;
  #looking: Promise<void> = Promise.resolve();

  constructor(backend: WebGpuBackend, learningRate = 0.02) {
    this.#device = backend.device;
    this.optimizer = new Adamax({ backend, learningRate });
    const weights = this.#buffer(beginningWeights());
    const points = this.#buffer(spirals());
    const kept = this.#buffer(new Float32Array(POINTS * (4 * HIDDEN + 2)));
    this.#gradients = this.#buffer(new Float32Array(WEIGHTS + 1));
    this.#pixels = this.#buffer(new Float32Array(SIDE * SIDE));
    this.#variables = (Object.keys(SHAPES) as Name[]).map((name) => {
      const offset = 4 * begins[name];
      return { variable: backend.variable({ buffer: weights, offset, shape: SHAPES[name], name }), offset };
    });
    this.#step = [
      this.#kernel(THERE_AND_BACK, [weights, points, kept], POINTS),
      this.#kernel(GRADIENTS, [points, kept, this.#gradients], WEIGHTS + 1),
    ];
    this.#picture = this.#kernel(PICTURE, [weights, this.#pixels], SIDE * SIDE);
  }

  /** Trains so many steps more. Returns the last loss that was looked at. */
  async train(steps: number): Promise<number> {
    const pairs = this.#variables.map(({ variable, offset }) => [{ buffer: this.#gradients, offset }, variable] as const);
    const loss = async () => {
      const isLook = this.#steps++ % LOOK === 0;
      if (isLook) await this.#looking; // of fifty steps ago: the GPU has those since to go on with
      this.#run(...this.#step);
      if (isLook) this.#looking = this.#look();
      return { loss: this.#loss, gradients: pairs };
    };
    await fit({ optimizer: this.optimizer, data: new Array(steps).fill(null), loss, epochs: 1, progress: "none" });
    await this.#looking;
    return this.#loss;
  }

  /** From 0 to 1 for each pixel of the plane, the upper left first: which spiral the network sees there. */
  picture(): Promise<Float32Array> {
    this.#run(this.#picture);
    return this.#read(this.#pixels, 0, SIDE * SIDE);
  }

  dispose(): void {
    this.optimizer.dispose();
    for (const buffer of this.#buffers) buffer.destroy();
  }

  async #look(): Promise<void> {
    const [loss] = await this.#read(this.#gradients, WEIGHTS, 1);
    this.#loss = loss!;
  }

  #run(...kernels: readonly Kernel[]): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, bindGroup, workgroups } of kernels) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(workgroups);
    }
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
  }

  async #read(buffer: GPUBuffer, begin: number, length: number): Promise<Float32Array> {
    const near = this.#device.createBuffer({ size: 4 * length, usage: 0x1 | 0x8 }); // MAP_READ, COPY_DST
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 4 * begin, near, 0, 4 * length);
    this.#device.queue.submit([encoder.finish()]);
    await near.mapAsync(0x1);
    const values = new Float32Array(near.getMappedRange().slice(0));
    near.destroy();
    return values;
  }

  #buffer(values: Float32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#device.createBuffer({ size: values.byteLength, usage: 0x80 | 0x4 | 0x8 }); // STORAGE, COPY_SRC, COPY_DST
    this.#device.queue.writeBuffer(buffer, 0, values);
    this.#buffers.push(buffer);
    return buffer;
  }

  #kernel(code: string, buffers: readonly GPUBuffer[], threads: number): Kernel {
    const module = this.#device.createShaderModule({ code });
    const pipeline = this.#device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const bindGroup = this.#device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return { pipeline, bindGroup, workgroups: Math.ceil(threads / 64) };
  }
}

const beginningWeights = (): Float32Array<ArrayBuffer> => {
  const next = random(2);
  const weights = new Float32Array(WEIGHTS);
  const spread = { w1: 4, w2: 1.5 / Math.sqrt(HIDDEN), w3: 1 / Math.sqrt(HIDDEN), b1: 2, b2: 0, b3: 0 };
  for (const name of Object.keys(SHAPES) as Name[])
    for (let i = 0; i < sizeOf(SHAPES[name]); i++) weights[begins[name] + i] = spread[name] * (2 * next() - 1);
  return weights;
};

/** Of the points, the part that lies where the picture shows the right spiral. */
export const rightOf = (picture: Float32Array): number => {
  const points = spirals();
  let right = 0;
  for (let p = 0; p < POINTS; p++) {
    const [x, y, kind] = points.subarray(4 * p);
    const column = Math.round(((x! + 1) / 2) * (SIDE - 1));
    const row = Math.round(((1 - y!) / 2) * (SIDE - 1));
    if (picture[row * SIDE + column]! > 0.5 === (kind === 1)) right++;
  }
  return right / POINTS;
};

/** The colours of a picture, red, green, blue and opaque for each pixel; the points on it are light and dark. */
export const coloursOf = (picture: Float32Array): Uint8ClampedArray<ArrayBuffer> => {
  const colours = new Uint8ClampedArray(4 * SIDE * SIDE);
  const mix = (share: number) => [60 + 180 * share, 110 + 40 * share, 230 - 180 * share, 255];
  for (const [i, share] of picture.entries()) colours.set(mix(share), 4 * i);
  const points = spirals();
  for (let p = 0; p < POINTS; p++) {
    const [x, y, kind] = points.subarray(4 * p);
    const column = Math.round(((x! + 1) / 2) * (SIDE - 1));
    const row = Math.round(((1 - y!) / 2) * (SIDE - 1));
    colours.set(kind === 1 ? [255, 250, 200, 255] : [10, 20, 60, 255], 4 * (row * SIDE + column));
  }
  return colours;
};
