/** Asks a device whether its quotients and square roots are rounded correctly, which WGSL does not promise. */

import { arithmetic, type Corrections, operate } from "./arithmetic.js";
import { THREADS } from "./norms.js";
import { USAGE } from "./usage.js";

/** What is asked of a device. */
export interface Probed {
  readonly gpu: GPUDevice;
  pipeline(label: string, text: string): GPUComputePipeline;
  buffer(label: string, bytes: number, usage: number): GPUBuffer;
  write(buffer: GPUBuffer, offset: number, data: Float32Array<ArrayBuffer>): void;
  read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer>;
  free(buffer: GPUBuffer): void;
}

const COUNT = 2 ** 16;

const PROBE = `
@group(0) @binding(0) var<uniform> nothing: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> pairs: array<array<vec4<u32>, 2>>;
fn zero() -> u32 { return nothing.x; }
${arithmetic(4, { quotient: false, root: false })}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  let x = pairs[at.x][0];
  let y = pairs[at.x][1];
  pairs[at.x][0] = ${operate("div", ["x", "y"])};
  pairs[at.x][1] = ${operate("sqrt", ["x"])};
}
`;

/** Which of the device's own operations are not rounded correctly. Of 65,536 quotients, half lie as near to the middle between two numbers as
 *  quotients can: what rounds them correctly rounds all correctly. */
export const neededCorrections = async (device: Probed): Promise<Corrections> => {
  const given = pairs();
  const { storage, uniform, copySource, copyTarget } = USAGE;
  const nothing = device.buffer("probe's zero", 16, uniform);
  const buffer = device.buffer("probe", given.byteLength, storage | copySource | copyTarget);
  try {
    device.write(buffer, 0, given);
    const pipeline = device.pipeline("probe", PROBE);
    const bindGroup = device.gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [nothing, buffer].map((bound, binding) => ({ binding, resource: { buffer: bound } })),
    });
    const encoder = device.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(COUNT / 4 / THREADS);
    pass.end();
    device.gpu.queue.submit([encoder.finish()]);
    return wrongAmong(given, new Float32Array(await device.read(buffer, 0, given.byteLength)));
  } finally {
    device.free(nothing);
    device.free(buffer);
  }
};

/** Four x, then the four y that belong to them, and so on. All positive, and far from where numbers end. */
const pairs = (): Float32Array<ArrayBuffer> => {
  const all = new Float32Array(2 * COUNT);
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const fraction = (): number => 2 ** 23 + Math.floor(random() * 2 ** 23);
  for (let i = 0; i < COUNT; i++) {
    let [x, y] = [fraction(), fraction()];
    // For an integer q of 24 bits, x * 2^23 / y is as near to q + 1/2 as it can be where (2 q + 1) * y is 1 or -1 modulo 2^24.
    const rest = [1, -1, 0, 0][i % 4]!;
    while (rest !== 0) {
      y = fraction() | 1;
      let inverse = y;
      for (let k = 0; k < 4; k++) inverse = Math.imul(inverse, 2 - Math.imul(y, inverse)); // each doubles the bits that are right
      x = ((2 ** 24 + (Math.imul(rest, inverse) & 0xffffff)) * y - rest) / 2 ** 24;
      if (x < 2 ** 24) break;
    }
    const at = (i >> 2) * 8 + (i & 3);
    all[at] = x * 2 ** Math.floor(random() * 60 - 60);
    all[at + 4] = y * 2 ** Math.floor(random() * 60 - 60);
  }
  return all;
};

const wrongAmong = (given: Float32Array, results: Float32Array): Corrections => {
  let [quotient, root] = [false, false];
  for (let at = 0; at < given.length; at++) {
    if ((at & 4) !== 0) continue; // y, and roots
    const [x, y] = [given[at]!, given[at + 4]!];
    quotient ||= results[at] !== Math.fround(x / y);
    root ||= results[at + 4] !== Math.fround(Math.sqrt(x));
  }
  return { quotient, root };
};
