/** Asks a device whether its quotients and square roots are rounded correctly, which WGSL does not promise. */

import { arithmetic, operate } from "./arithmetic.js";
import { THREADS } from "./norms.js";
import { USAGE } from "./usage.js";

/** What is asked of a device. */
export interface Probed {
  readonly gpu: GPUDevice;
  pipeline(label: string, text: string): GPUComputePipeline;
  buffer(label: string, bytes: number, usage: number): GPUBuffer;
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
  pairs[at.x] = array(${operate("div", ["x", "y"])}, ${operate("sqrt", ["x"])});
}
`;

/** How far the device's own quotients and square roots are off at most, in ulps. Of 65,536 quotients, half lie as near to the middle between two
 *  numbers as quotients can: what rounds them correctly rounds all correctly. */
export const compareArithmetic = async (device: Probed): Promise<{ quotient: number; root: number }> => {
  const given = pairs();
  const { storage, uniform, copySource, copyTarget } = USAGE;
  const nothing = device.buffer("probe's zero", 16, uniform);
  const buffer = device.buffer("probe", given.byteLength, storage | copySource | copyTarget);
  try {
    device.gpu.queue.writeBuffer(buffer, 0, given);
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
    return worstUlps(given, new Float32Array(await device.read(buffer, 0, given.byteLength)));
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

const worstUlps = (given: Float32Array, results: Float32Array): { quotient: number; root: number } => {
  const worst = { quotient: 0, root: 0 };
  for (let i = 0; i < COUNT; i++) {
    const at = (i >> 2) * 8 + (i & 3);
    const [x, y] = [given[at]!, given[at + 4]!];
    worst.quotient = Math.max(worst.quotient, ulps(results[at]!, Math.fround(x / y)));
    worst.root = Math.max(worst.root, ulps(results[at + 4]!, Math.fround(Math.sqrt(x))));
  }
  return worst;
};

const view = new DataView(new ArrayBuffer(4));
const bitsOf = (value: number): number => {
  view.setFloat32(0, value);
  return view.getInt32(0);
};
const ulps = (actual: number, expected: number): number => Math.abs(bitsOf(actual) - bitsOf(expected));
