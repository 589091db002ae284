/** A step on a device: its scalars go there in one piece, then come a few dispatches for each pass, as many for one variable as for a thousand.
 *  Nothing comes back. Its plan is kept until other variables take part in a step. */

import type { RowClass, StepParameters } from "../../backend.js";
import type { Program } from "../../rule/program.js";
import { evaluateScalars } from "../cpu/scalars.js";
import type { Device } from "./device.js";
import { known } from "./layout.js";
import { keyOf } from "./pairs.js";
import { Plan } from "./plan.js";
import type { StepRow } from "./table.js";

/** A class, and where in the table its scalars begin: those that are known before a step. */
interface ClassScalars {
  readonly program: Program;
  readonly class: RowClass;
  readonly values: Float64Array;
  readonly known: readonly number[];
  readonly at: number;
}

export class DeviceStep {
  readonly #device: Device;
  readonly #classes: readonly ClassScalars[];
  readonly #plan: Plan;
  /** What a step brings to the table: the key of its random numbers, then the scalars of each class. */
  readonly #scalars: Float32Array<ArrayBuffer>;
  readonly #key: Uint32Array<ArrayBuffer>;
  readonly #seed: number;
  /** Which of the places of steps that wait is the next one's. */
  #turn = 0;
  readonly #parameters = { learningRate: 0, step: 0, weightDecay: 0 };
  /** Resolves when there was memory for what the step that began last has needed anew. */
  memory: Promise<unknown> | undefined;
  #encoder: GPUCommandEncoder | undefined;
  #computePass: GPUComputePassEncoder | undefined;

  /** `programs`: one for each class. They have the same passes and sums, as those of one optimizer do. `seed`: of what is rounded at random. */
  constructor(device: Device, programs: readonly Program[], classes: readonly RowClass[], seed = 0) {
    this.#device = device;
    this.#seed = seed;
    let at = 1;
    this.#classes = programs.map((program, i) => {
      const own = { program, class: classes[i]!, values: new Float64Array(program.scalars.length), known: known(program), at };
      at += own.known.length;
      return own;
    });
    this.#scalars = new Float32Array(at);
    this.#key = new Uint32Array(this.#scalars.buffer, 0, 1);
    this.#plan = new Plan(
      device,
      programs,
      this.#classes.map(({ at }) => at),
      at,
    );
  }

  get passes(): number {
    return this.#plan.passes;
  }

  /** Runs every pass over `rows[0..count)`: enqueues it and returns. */
  run(rows: readonly StepRow[], count: number, parameters: StepParameters): void {
    this.begin(rows, count, parameters);
    for (let pass = 0; pass < this.passes; pass++) this.runPass(pass);
    this.end();
  }

  /** `prepare`: encodes what comes before it. */
  begin(
    rows: readonly StepRow[],
    count: number,
    parameters: StepParameters,
    prepare?: (encoder: GPUCommandEncoder) => void,
    isPlanned = this.isPlanned(rows, count),
  ): void {
    this.#device.assertUsable();
    this.memory = isPlanned ? undefined : this.#plan.make(rows.slice(0, count));
    this.memory?.catch(() => {}); // whoever asks is told
    this.#evaluate(parameters);
    this.#encoder = this.#upload();
    prepare?.(this.#encoder);
    this.#computePass = this.#encoder.beginComputePass();
  }

  /** The pass, and the scalars that become known by it. */
  runPass(pass: number): void {
    const encoder = this.#computePass!;
    for (const { pipeline, bound, x, y } of this.#plan.of(pass)) {
      encoder.setPipeline(pipeline);
      encoder.setBindGroup(0, bound.bindGroup);
      encoder.dispatchWorkgroups(x, y);
    }
  }

  /** `finish` may encode what comes after the passes. */
  end(finish?: (encoder: GPUCommandEncoder) => void): void {
    this.#computePass!.end();
    finish?.(this.#encoder!);
    this.#device.commands.encoded(this.dispatches);
    this.#computePass = this.#encoder = undefined;
  }

  /** Dispatches of a step as it was run last. */
  get dispatches(): number {
    return this.#plan.dispatches;
  }

  /** Twice is harmless. */
  dispose(): void {
    this.#plan.dispose();
  }

  /** Whether a step over these variables needs nothing new on the device. */
  isPlanned(rows: readonly StepRow[], count: number): boolean {
    return this.#plan.isFor(rows, count);
  }

  #evaluate({ learningRate, step }: StepParameters): void {
    this.#key[0] = keyOf(this.#seed, step);
    for (const { program, class: own, values, known: places, at } of this.#classes) {
      this.#parameters.learningRate = learningRate * own.learningRateMultiplier;
      this.#parameters.weightDecay = own.weightDecay;
      this.#parameters.step = step;
      evaluateScalars(program, 0, values, this.#parameters);
      for (let i = 0; i < places.length; i++) this.#scalars[at + i] = values[places[i]!]!;
    }
  }

  /** Brings the scalars to the table. Returns the encoder that the step goes to. */
  #upload(): GPUCommandEncoder {
    const { commands, gpu } = this.#device;
    const { table, waiting } = this.#plan;
    if (commands.waiting === 1) {
      this.#device.write(table, 0, this.#scalars);
      return commands.encoder();
    }
    if (this.#turn === 0) commands.submit();
    const { byteLength } = this.#scalars;
    gpu.queue.writeBuffer(waiting, this.#turn * byteLength, this.#scalars);
    const encoder = commands.encoder();
    encoder.copyBufferToBuffer(waiting, this.#turn * byteLength, table, 0, byteLength);
    this.#turn = (this.#turn + 1) % commands.waiting;
    return encoder;
  }
}
