/** What do two threads bring, at which size, and do they ever cost? Steps back to back, and with pauses in which workers fall asleep. */

import { availableParallelism } from "node:os";
import type { WasmBackend } from "adamax";
import { inProcess, interleave, quartiles, ratioOf, timeOf } from "./measure.js";
import { type Model, nameOf, parametersOf } from "./model.js";
import type { Answer, Line, Row } from "./report.js";
import { build, type Kind } from "./sides/adamax.js";
import { compileC, cSide } from "./sides/c.js";

const SIZES = [1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7];
const PAUSE = 2;
const PAUSED_STEPS = 60;

export const threads = async (): Promise<Answer> => {
  const rows: Row[] = [];
  const lines: Record<string, Line["points"][number][]> = { "one thread": [], "two threads": [] };
  const c = compileC();
  for (const size of SIZES) {
    const model: Model = { tensors: 1, size };
    const one = build(model, { threads: 1 });
    const two = build(model, { threads: 2 });
    await untilReady(two);
    const sides = [
      inProcess("one thread", one.step),
      { ...inProcess("two threads", two.step), cores: sharesAt(size) ? 2 : 1 },
      ...(typeof c === "string" || size < 1e6 ? [] : [cSide("C, two threads", c.path, "adamax", model, 2)]),
    ];
    const measurement = await interleave(sides, { seconds: 6, mostRounds: 80 });
    rows.push({
      of: nameOf(model),
      ratio: "one thread / two, back to back",
      value: ratioOf(measurement, "one thread", "two threads"),
      note: `${(timeOf(measurement, "two threads").median / 1000).toPrecision(3)} µs`,
    });
    rows.push({
      of: nameOf(model),
      ratio: `one thread / two, pauses of ${PAUSE} ms`,
      value: await withPauses(one.step, two.step),
    });
    if (measurement.names.length > 2)
      rows.push({
        of: nameOf(model),
        ratio: "C, two threads / two",
        value: ratioOf(measurement, "C, two threads", "two threads"),
        ...(size === 1e7 ? { target: { atLeast: 0.85 } } : {}),
      });
    for (const side of ["one thread", "two threads"]) {
      const { low, median, high } = timeOf(measurement, side);
      const count = parametersOf(model);
      lines[side]!.push({ parameters: count, time: { low: low / count, median: median / count, high: high / count } });
    }
    for (const side of sides) await side.dispose?.();
    one.optimizer.dispose();
    two.optimizer.dispose();
    if (size >= 1e6) rows.push(...(await staged(model)));
  }
  return {
    question: "threads",
    title: "Two threads: time of one thread over time of two (above 1: two are faster)",
    rows,
    lines: Object.entries(lines).map(([name, points]) => ({ name, points })),
    notes: [
      ...(typeof c === "string" ? [c] : []),
      `${availableParallelism()} cores. Below 30 000 parameters a step is never shared; below 1 000 000 only while the workers are still awake.`,
      "Rows mean something only where two cores are idle: a busy neighbour takes one.",
    ],
  };
};

/** Arrays that lie elsewhere are brought to the threads by the calling one. */
const staged = async (model: Model): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const [name, kind] of Object.entries<Kind>({
    "foreign gradients": { ownGradients: false },
    "both foreign": { ownGradients: false, adopt: false },
  })) {
    const [one, two] = [build(model, { threads: 1 }, kind), build(model, { threads: 2 }, kind)];
    await untilReady(two);
    const sides = [inProcess("one thread", one.step), { ...inProcess("two threads", two.step), cores: 2 }];
    const measurement = await interleave(sides, { seconds: 3, mostRounds: 40 });
    rows.push({
      of: nameOf(model),
      ratio: `one thread / two, ${name}`,
      value: ratioOf(measurement, "one thread", "two threads"),
      target: { atLeast: 1 },
      note: `${(timeOf(measurement, "two threads").median / 1000).toPrecision(3)} µs`,
    });
    one.optimizer.dispose();
    two.optimizer.dispose();
  }
  return rows;
};

const sharesAt = (size: number): boolean => size >= 30_000;

type Training = ReturnType<typeof build>;

/** Workers start while the caller works alone. */
const untilReady = async ({ optimizer, step }: Training): Promise<void> => {
  const backend = optimizer.backend as WasmBackend;
  for (let waited = 0; waited < 40; waited++) {
    // Every 16th step is another program; the workers get both.
    for (let k = 0; k < 17; k++) step();
    if (backend.sharedPasses > 0 && waited > 10) return;
    await pause(10);
  }
};

/** In turn, each after a pause. */
const withPauses = async (one: () => unknown, two: () => unknown) => {
  const ratios: number[] = [];
  for (let k = 0; k < PAUSED_STEPS; k++) {
    await pause(PAUSE);
    const alone = timed(one);
    await pause(PAUSE);
    ratios.push(alone / timed(two));
  }
  return quartiles(ratios);
};

const timed = (step: () => unknown): number => {
  const begin = performance.now();
  step();
  return performance.now() - begin;
};

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
