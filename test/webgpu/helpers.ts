/** What the tests of the WebGPU backend share: a device, and the interpreter as the oracle. */

import { create } from "webgpu";
import type { RowClass, StepParameters } from "../../src/backends/backend.js";
import { InterpreterBackend } from "../../src/backends/interpreter/interpreter.js";
import { Device } from "../../src/backends/webgpu/device.js";
import { allocate } from "../../src/backends/webgpu/memory.js";
import { DeviceStep } from "../../src/backends/webgpu/step.js";
import type { Program } from "../../src/rule/program.js";

process.env.VK_ICD_FILENAMES ??= "/usr/lib/chromium/vk_swiftshader_icd.json";
export const gpu = create([]);

export const openDevice = (): Promise<Device> => Device.open({ gpu });
export type Floats = Float32Array<ArrayBuffer>;

/** One variable: its arrays before a step, by name ("w", "g" and its state), and its class. */
export interface Given {
  readonly class: number;
  readonly arrays: Readonly<Record<string, Floats>>;
}

/** One step after the other; each has a program for every class. */
export interface Steps {
  readonly classes: readonly RowClass[];
  readonly programs: readonly (readonly Program[])[];
  readonly parameters: readonly StepParameters[];
}

/** The arrays after the steps, on the interpreter. */
export const interpret = ({ classes, programs, parameters }: Steps, given: readonly Given[]): Record<string, Floats>[] => {
  const backend = new InterpreterBackend();
  const requests = given.map(({ class: own, arrays }, i) => ({
    ...{ dtype: "float32" as const, length: arrays.w!.length, rowSize: 1, class: own, foreign: null, name: `${i}` },
    state: Object.keys(arrays).filter((name) => name !== "w" && name !== "g"),
  }));
  const rows = backend.place(requests, programs[0]!, 0);
  for (const [i, row] of rows.entries())
    for (const [name, values] of Object.entries(given[i]!.arrays)) row.array(name).set(values);
  for (const [k, step] of programs.entries()) {
    for (const row of rows) row.gradient = row.array("g");
    backend.compile(step, classes).run(rows, rows.length, parameters[k]!);
  }
  return rows.map((row, i) =>
    Object.fromEntries(Object.keys(given[i]!.arrays).map((name) => [name, Float32Array.from(row.array(name))])),
  );
};

/** Likewise, on the device. */
export const compute = async (
  device: Device,
  { classes, programs, parameters }: Steps,
  given: readonly Given[],
): Promise<Record<string, Floats>[]> => {
  const names = Object.keys(given[0]!.arrays);
  const { variables, free } = await allocate(
    device,
    given.map(({ arrays }) => arrays.w!.length),
    names,
  );
  const rows = variables.map((arrays, i) => ({ arrays, class: given[i]!.class }));
  for (const [i, { arrays }] of rows.entries())
    for (const [name, values] of Object.entries(given[i]!.arrays)) arrays.write(name, 0, values);
  const steps = programs.map((step) => new DeviceStep(device, step, classes));
  for (const [k, step] of steps.entries()) step.run(rows, rows.length, parameters[k]!);
  const after = await Promise.all(
    rows.map(async ({ arrays }, i) => {
      const read = names.map(async (name) => [name, await arrays.read(name, 0, given[i]!.arrays.w!.length)] as const);
      return Object.fromEntries(await Promise.all(read));
    }),
  );
  await device.settle();
  for (const step of steps) step.dispose();
  free();
  return after;
};
