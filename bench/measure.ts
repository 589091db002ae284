/** Measures sides against each other on a machine that others use too: interleaved, repeated until undisturbed, as ratios. */

/** Something that makes steps. */
export interface Side {
  readonly name: string;
  /** Processor cores that it should keep busy. */
  readonly cores: number;
  /** Makes `repeats` steps, one after the other. */
  run(repeats: number): Timing | Promise<Timing>;
  dispose?(): void | Promise<void>;
}

/** Of all repeats together. */
export interface Timing {
  readonly wall: number;
  /** Processor time of the process: less than `wall` when another process had the core in between. */
  readonly processor: number;
}

export interface Quartiles {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** Nanoseconds for one step by side and round; `undefined` where a slow side sat out. */
export interface Measurement {
  readonly names: readonly string[];
  readonly rounds: readonly (readonly (number | undefined)[])[];
  /** Share of samples in which a side never had its cores to itself. */
  readonly disturbed: number;
}

export interface Patience {
  /** For all sides together, without warming up. */
  readonly seconds: number;
  readonly mostRounds: number;
}

const SAMPLE = 2e6; // nanoseconds: shorter than the time slice of a Linux scheduler, so that most samples have none of its switches
const FEWEST = 5;
const RETRIES = 5;
/** Nanoseconds after which a disturbed sample is not repeated. */
const PATIENCE = 4e7;
/** Processor time over wall time, per core, from which a sample counts as undisturbed. */
const UNDISTURBED = 0.95;

/** Sides in turn, A B C A B C ..., so that a drift of the machine hits all alike. Slow sides sit out most rounds; the first side never does. */
export const interleave = async (sides: readonly Side[], { seconds, mostRounds }: Patience): Promise<Measurement> => {
  const plans: { repeats: number; warmed: boolean; samples: number }[] = [];
  for (const side of sides) {
    const step = await warmUp(side);
    const repeats = Math.max(1, Math.round(SAMPLE / step));
    // A side begins with the caches as the side before left them. Where a model fits a cache, one step brings it back.
    const warmed = step < 5e6;
    const cost = (repeats + (warmed ? 1 : 0)) * step;
    plans.push({ repeats, warmed, samples: clamp((seconds * 1e9) / sides.length / cost, FEWEST, mostRounds) });
  }
  const rounds = Math.max(...plans.map(({ samples }) => samples));
  let disturbed = 0;
  let taken = 0;
  const times: (number | undefined)[][] = [];
  for (let round = 0; round < rounds; round++) {
    const row: (number | undefined)[] = [];
    for (const [i, side] of sides.entries()) {
      const { repeats, warmed, samples } = plans[i]!;
      const isIn = i === 0 || Math.floor(((round + 1) * samples) / rounds) > Math.floor((round * samples) / rounds);
      if (!isIn) {
        row.push(undefined);
        continue;
      }
      const { time, undisturbed } = await sample(side, repeats, warmed);
      taken++;
      if (!undisturbed) disturbed++;
      row.push(time);
    }
    times.push(row);
  }
  return { names: sides.map(({ name }) => name), rounds: times, disturbed: disturbed / taken };
};

/** Until compilers are done (40 ms and 20 steps, or half a second). Returns nanoseconds of a step. */
const warmUp = async (side: Side): Promise<number> => {
  let total = 0;
  let step = Number.POSITIVE_INFINITY;
  for (let steps = 0; total < 5e8 && (total < 4e7 || steps < 20); ) {
    const repeats = Number.isFinite(step) ? clamp(SAMPLE / step, 1, 1000) : 1;
    const { wall } = await side.run(repeats);
    total += wall;
    steps += repeats;
    step = Math.min(step, wall / repeats);
  }
  return step;
};

/** Repeated until undisturbed, where a repetition is cheap. A sample of one core that stays disturbed counts with its processor time,
 *  which leaves out what the core did for others; with several cores there is no such way out, for they wait for each other. */
const sample = async (side: Side, repeats: number, warmed: boolean): Promise<{ time: number; undisturbed: boolean }> => {
  let time = Number.POSITIVE_INFINITY;
  let spent = 0;
  for (let attempt = 0; attempt < RETRIES && spent < PATIENCE; attempt++) {
    if (warmed) await side.run(1);
    const { wall, processor } = await side.run(repeats);
    if (processor >= UNDISTURBED * side.cores * wall) return { time: wall / repeats, undisturbed: true };
    time = Math.min(time, (side.cores === 1 ? processor : wall) / repeats);
    spent += wall;
  }
  return { time, undisturbed: false };
};

/** A side in this process. */
export const inProcess = (name: string, step: () => unknown, dispose?: () => void): Side => ({
  name,
  cores: 1,
  run: (repeats) => {
    const begun = begin();
    for (let k = 0; k < repeats; k++) step();
    return begun();
  },
  ...(dispose ? { dispose } : {}),
});

/** A side in this process whose results must be waited for. */
export const inProcessAsync = (name: string, step: () => Promise<unknown>, dispose?: () => void): Side => ({
  name,
  cores: 1,
  run: async (repeats) => {
    const begun = begin();
    for (let k = 0; k < repeats; k++) await step();
    return begun();
  },
  ...(dispose ? { dispose } : {}),
});

const begin = (): (() => Timing) => {
  const processor = process.cpuUsage();
  const wall = performance.now();
  return () => {
    const ended = performance.now();
    const { user, system } = process.cpuUsage(processor);
    return { wall: (ended - wall) * 1e6, processor: (user + system) * 1e3 };
  };
};

export const quartiles = (values: readonly number[]): Quartiles => {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): number => {
    const place = (sorted.length - 1) * part;
    const below = sorted[Math.floor(place)]!;
    return below + (sorted[Math.ceil(place)]! - below) * (place - Math.floor(place));
  };
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
};

/** Nanoseconds of one step of a side. */
export const timeOf = ({ names, rounds }: Measurement, name: string): Quartiles =>
  quartiles(rounds.flatMap((row) => row[names.indexOf(name)] ?? []));

/** Time of one side over time of another, round by round. */
export const ratioOf = ({ names, rounds }: Measurement, over: string, under: string): Quartiles =>
  quartiles(
    rounds.flatMap((row) => {
      const [a, b] = [row[names.indexOf(over)], row[names.indexOf(under)]];
      return a === undefined || b === undefined ? [] : a / b;
    }),
  );

const clamp = (value: number, least: number, most: number): number => Math.round(Math.min(most, Math.max(least, value)));
