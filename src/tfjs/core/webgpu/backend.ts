/** Our compiled step on TensorFlow.js' webgpu backend: on its device, in the order of its queue, on its buffers. */

import type { CompiledStep, Row, RowClass, RowRequest, StepParameters } from "../../../backend.js";
import { Device } from "../../../backends/webgpu/device.js";
import { assertBindable } from "../../../backends/webgpu/plan.js";
import { DeviceStep } from "../../../backends/webgpu/step.js";
import type { Program } from "../../../rule/program.js";
import { DeviceBackend } from "../device.js";
import type { WebgpuKernels } from "../private-members.js";
import { assertThere, lookInside, SharedCommands, underBackend } from "./inside.js";
import { placeRows } from "./memory.js";
import type { TensorRow, Touched } from "./row.js";

/** Shaders that were compiled, and how the device computes, are known to all optimizers on a backend. Another backend on the same device has commands
 *  of its own. */
const devices = new WeakMap<WebgpuKernels, Device>();

const deviceOf = (inside: WebgpuKernels): Device => {
  const device = devices.get(inside) ?? Device.share(inside.device, new SharedCommands(inside));
  devices.set(inside, device);
  return device;
};

/** Where it cannot be compiled, in TensorFlow.js' operations. */
export class CompiledBackend extends DeviceBackend {
  readonly #inside: WebgpuKernels | null;
  readonly #device: Device | null;
  readonly #steps: TensorStep[] = [];
  /** Why operations, if so. */
  #refusal: string | null;

  constructor() {
    super("webgpu");
    const inside = lookInside();
    this.#refusal = typeof inside === "string" ? inside : null;
    this.#inside = typeof inside === "string" ? null : inside;
    this.#device = this.#inside && deviceOf(this.#inside);
  }

  override get why(): string {
    if (this.#refusal !== null) return `${super.why}; not compiled: ${this.#refusal}`;
    return `compiled, on TensorFlow.js' device and in its buffers: ${this.#device!.why}`;
  }

  /** Resolves when the device is known well enough to compute as fast as it can. */
  override async ready(): Promise<void> {
    await this.#device?.tried;
  }

  override place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number): Row[] {
    if (this.#refusal === null) this.#refusal = this.#refuses(programs);
    if (this.#refusal !== null) return super.place(requests, programs, firstIndex);
    return placeRows(this.#device!, this.#inside!, requests, firstIndex);
  }

  #refuses(programs: readonly Program[]): string | null {
    try {
      assertBindable(this.#device!, programs);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  override compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    if (this.#refusal !== null) return super.compile(programs, classes);
    const step = new TensorStep(this.#device!, this.#inside!, programs, classes);
    this.#steps.push(step);
    return step;
  }

  /** The device is TensorFlow.js'. */
  override dispose(): void {
    for (const step of this.#steps.splice(0)) step.dispose();
  }
}

class TensorStep implements CompiledStep {
  readonly passes: number;
  readonly #device: Device;
  readonly #inside: WebgpuKernels;
  readonly #step: DeviceStep;
  /** By class. */
  readonly #touched: readonly Touched[];
  #rows: readonly TensorRow[] = [];
  /** While it is unknown whether there was memory: what the device refuses then is no bug. */
  #close: (() => Promise<unknown>) | undefined;

  constructor(device: Device, inside: WebgpuKernels, programs: readonly Program[], classes: readonly RowClass[]) {
    this.#device = device;
    this.#inside = inside;
    this.passes = Math.max(...programs.map(({ passes }) => passes.length));
    this.#step = new DeviceStep(device, programs, classes);
    this.#touched = programs.map(touchedBy);
  }

  begin(all: readonly TensorRow[], count: number, parameters: StepParameters): void {
    this.#device.assertUsable();
    assertThere(this.#inside);
    this.#device.commands.assertMade();
    const rows = all.slice(0, count).filter(({ length }) => length > 0);
    for (const { placement } of rows) placement.assertThere();
    this.#rows = rows;
    try {
      underBackend(this.#inside, () => {
        for (const row of rows) row.prepareGradient(this.#touched[row.class]!);
        for (const row of rows) row.prepareValue(this.#touched[row.class]!);
      });
      if (this.#device.isAllocating) this.#close = this.#watch();
      // Before the step looks where the arrays are.
      this.#step.begin(rows, rows.length, parameters, (encoder) => {
        for (const row of rows) row.bring(encoder, this.#touched[row.class]!);
      });
    } catch (error) {
      void this.#release((row) => row.release());
      throw error;
    }
  }

  runPass(pass: number): void {
    this.#step.runPass(pass);
  }

  /** The device does that. */
  joinSums(): void {}

  end(): void | Promise<void> {
    const rows = this.#rows;
    this.#step.end((encoder) => {
      for (const row of rows) row.take(encoder, this.#touched[row.class]!);
    });
    const closed = this.#release((row) => row.settle(this.#touched[row.class]!));
    if (closed) return Promise.all([closed, ...rows.map(({ placement }) => placement.ready)]).then(() => {});
  }

  /** Nothing is held any more for this step. `release`: of a row; whether what is encoded must be submitted at once. */
  #release(release: (row: TensorRow) => boolean): Promise<unknown> | undefined {
    let usedLent = false;
    for (const row of this.#rows) usedLent = release(row) || usedLent;
    if (usedLent) this.#device.commands.submit();
    this.#rows = [];
    const close = this.#close;
    this.#close = undefined;
    return close?.();
  }

  /** A step that the device refuses takes nothing of TensorFlow.js with it: it is submitted alone. */
  #watch(): () => Promise<unknown> {
    const { commands } = this.#device;
    commands.submit();
    const close = this.#device.watch();
    return () => {
      commands.submit();
      return close();
    };
  }

  dispose(): void {
    this.#step.dispose();
  }
}

const touchedBy = ({ buffers, passes }: Program): Touched => {
  const [value, gradient] = ["w", "g"].map((name) => buffers.indexOf(name));
  const loads = (buffer: number | undefined) =>
    passes.some(({ nodes }) => nodes.some((node) => node.kind === "load" && node.buffer === buffer));
  return {
    loadsValue: loads(value),
    storesValue: passes.some(({ stores }) => stores.some(({ buffer }) => buffer === value)),
    loadsGradient: loads(gradient),
  };
};
