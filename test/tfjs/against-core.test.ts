/** Whatever is done with an optimizer, and in whatever order: values, state and count are those of the core's. */

import { Adamax as CoreAdamax, Variable } from "adamax";
import { Adamax, type AdamaxOptions } from "adamax/tfjs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { backends, tf, use } from "./backends.js";
import { wave } from "./models.js";

const SIZES = [3, 1, 8];
const options: fc.Arbitrary<AdamaxOptions> = fc.record({
  useEma: fc.boolean(),
  emaMomentum: fc.constant(0.7),
  emaOverwriteFrequency: fc.constantFrom(null, 3),
  gradientAccumulationSteps: fc.constantFrom(null, 2, 3),
  globalClipnorm: fc.constantFrom(null, 0.5),
  weightDecay: fc.constantFrom(null, 0.1),
});
const deeds = ["step", "step", "step", "assign", "swap", "reset", "finalize", "count", "load", "set again"] as const;
/** `which`: a bit for each variable; `number`: whatever is counted or drawn. */
const plan = fc.array(fc.record({ deed: fc.constantFrom(...deeds), which: fc.integer({ min: 1, max: 7 }), number: fc.nat(9) }), {
  maxLength: 14,
});

class Pair {
  readonly tensors = SIZES.map((size, i) => tf.variable(tf.tensor1d(wave(size, i)), true, `v${i}`));
  readonly variables: Variable[] = SIZES.map((size, i) => new Variable(wave(size, i), { name: `v${i}` }));
  ours: Adamax;
  core: CoreAdamax;

  constructor(readonly given: AdamaxOptions) {
    this.ours = new Adamax(given);
    this.core = new CoreAdamax(given as object);
  }

  get trained(): number[] {
    return this.core.trainableVariables.map((variable) => this.variables.indexOf(variable));
  }

  step(chosen: readonly number[], phase: number): void {
    const gradients = chosen.map((i) => wave(SIZES[i]!, phase + i));
    tf.tidy(() => this.ours.applyGradients(chosen.map((i, k) => ({ name: `v${i}`, tensor: tf.tensor1d(gradients[k]!) }))));
    const { trained } = this;
    const late = chosen.filter((i) => !trained.includes(i));
    if (trained.length > 0) this.core.extend(late.map((i) => this.variables[i]!));
    this.core.applyGradients(chosen.map((i, k) => [gradients[k]!, this.variables[i]!]));
  }

  async assign(i: number, phase: number): Promise<void> {
    const value = wave(SIZES[i]!, phase);
    tf.tidy(() => this.tensors[i]!.assign(tf.tensor1d(value)));
    await this.variables[i]!.write(value);
  }

  /** The state goes on in new optimizers; those of TensorFlow.js may be built before they get it, or later. */
  async load(isBuilt: boolean): Promise<void> {
    const { trained } = this;
    const again = new Adamax(this.given);
    const tensors = trained.map((i) => this.tensors[i]!);
    if (isBuilt) again.build(tensors);
    await again.setWeights(await this.ours.getWeights());
    again.build(tensors);
    const state = this.core.saveOwnVariables();
    this.core.dispose();
    this.ours.dispose();
    this.ours = again;
    this.core = new CoreAdamax(this.given as object);
    this.core.build(trained.map((i) => this.variables[i]!));
    this.core.loadOwnVariables(state);
  }

  async assertSame(): Promise<void> {
    const bits = (values: ArrayLike<number>) => [...new Uint32Array(Float32Array.from(values).buffer)];
    for (const i of SIZES.keys()) expect(bits(this.tensors[i]!.dataSync())).toEqual(bits(this.variables[i]!.value));
    const [, ...state] = await this.ours.getWeights();
    const own = new Map(state.map(({ name, tensor }) => [`Adamax/${name.split("/").reverse().join("/")}`, tensor]));
    const wanted = this.core.variables.slice(1);
    expect([...own.keys()].sort()).toEqual(wanted.map(({ name }) => name).sort());
    for (const { name, value } of wanted) expect(bits(own.get(name)!.dataSync())).toEqual(bits(value as Float32Array));
    expect(this.ours.iterations).toBe(this.core.iterations);
  }

  async run(deed: (typeof deeds)[number], which: readonly number[], number: number): Promise<void> {
    const { ours, core, trained } = this;
    const among = which.filter((i) => trained.includes(i));
    if (deed === "step") this.step(which, number);
    else if (deed === "assign") await this.assign(which[0]!, number);
    else if (deed === "count") ours.iterations = core.iterations = number;
    else if (deed === "load") await this.load(number % 2 === 0);
    else if (deed === "set again") await ours.setWeights(await ours.getWeights());
    else if (deed === "swap" && ours.useEma) {
      for (const one of [ours, core]) one.swapAverages();
      for (const i of SIZES.keys()) expect([...this.tensors[i]!.dataSync()]).toEqual([...this.variables[i]!.value]);
      for (const one of [ours, core]) one.swapAverages();
    } else if (deed === "reset") {
      ours.resetAverages(among.map((i) => this.tensors[i]!));
      core.resetAverages(among.map((i) => this.variables[i]!));
    } else if (deed === "finalize") {
      ours.finalizeVariableValues(among.map((i) => this.tensors[i]!));
      core.finalizeVariableValues(among.map((i) => this.variables[i]!));
    }
  }
}

test.each(backends)("on %s, after any deeds in any order", async (backend) => {
  await use(backend);
  const holds = async (given: AdamaxOptions, steps: { deed: (typeof deeds)[number]; which: number; number: number }[]) => {
    const pair = new Pair(given);
    try {
      for (const { deed, which, number } of steps) {
        await pair.run(
          deed,
          [...SIZES.keys()].filter((i) => which & (1 << i)),
          number,
        );
        await pair.assertSame();
      }
    } finally {
      pair.ours.dispose();
      pair.core.dispose();
      tf.disposeVariables();
    }
  };
  await fc.assert(fc.asyncProperty(options, plan, holds), { numRuns: 60 });
});
