/** What ranks train, described by a few numbers, so that a rank and its test make the same; and what one machine makes of it. */

import { Adamax, type AdamaxOptions, type DType, IndexedSlices, type Values, Variable } from "adamax";
import { Layout, type Mesh, type MeshDimension, type MeshOptions, UNSHARDED } from "adamax/mesh";
import fc from "fast-check";
import { ARRAYS } from "../../src/rule/program.js";
import { anyOptions, numbers } from "../semantics/models.js";

export interface MeshModel {
  readonly options: AdamaxOptions;
  readonly mesh: Required<Pick<MeshOptions, "reduction" | "shardState">>;
  /** Ranks along "model"; the others lie along "batch". */
  readonly columns: 1 | 2;
  readonly variables: readonly {
    readonly shape: readonly [number, number];
    readonly dtype: DType;
    readonly specs: readonly [string, string];
    readonly gradient: "dense" | "own" | "rows";
    readonly foreign: boolean;
  }[];
  /** By place along "batch": what its gradients count. */
  readonly weights: readonly number[] | null;
  readonly steps: number;
  readonly seed: number;
}

const anySpecs = fc.constantFrom(
  [UNSHARDED, UNSHARDED],
  [UNSHARDED, UNSHARDED],
  ["model", UNSHARDED],
  [UNSHARDED, "model"],
  ["batch", "model"],
);
const anyShape = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
  fc.constantFrom([700, 7], [3, 5001], [130, 127], [1, 1], [4096, 3]),
);
/** What is accumulated is divided by the loss scale before it is added up: by 3, that rounds. */
const anyMeshOptions = anyOptions.map((options) =>
  options.gradientAccumulationSteps && options.lossScaleFactor === 3 ? { ...options, lossScaleFactor: null } : options,
);

export const anyMeshModel: fc.Arbitrary<MeshModel> = fc.record({
  options: anyMeshOptions,
  mesh: fc.record({ reduction: fc.constantFrom("mean", "mean", "sum"), shardState: fc.constantFrom(true, true, false, null) }),
  columns: fc.constantFrom(1, 2),
  variables: fc.array(
    fc.record({
      shape: anyShape,
      dtype: fc.constantFrom("float32", "float32", "float64"),
      specs: anySpecs,
      gradient: fc.constantFrom("dense", "own", "rows"),
      foreign: fc.boolean(),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  weights: fc.constantFrom(null, [1, 1, 1, 1], [32, 7, 19, 3], [4, 0, 2, 0]),
  steps: fc.integer({ min: 2, max: 5 }),
  seed: fc.nat(1000),
}) as fc.Arbitrary<MeshModel>;

export const dimensionsOf = ({ columns }: MeshModel, size: number): MeshDimension[] => [
  ["batch", -1],
  ["model", size % columns === 0 ? columns : 1],
];

/** A norm of a variable that is cut is the sum of its parts' norms: in float64 not always the same last bit as in one piece. */
export const isExact = ({ options: { clipnorm, globalClipnorm }, variables }: MeshModel): boolean => {
  const isCut = ({ specs }: MeshModel["variables"][number]) => specs.some((spec) => spec !== UNSHARDED);
  const isWide = ({ dtype }: MeshModel["variables"][number]) => dtype === "float64";
  if (clipnorm) return !variables.some((variable) => isCut(variable) && isWide(variable));
  return !globalClipnorm || !variables.some(isCut) || !variables.some(isWide);
};

/** Before a step of one machine, or of the k-th micro-batch. With few bits, where they are added up before they are rounded together. */
const gradientOf = ({ variables, options, seed }: MeshModel, variable: number, step: number, part: number): Values => {
  const { shape, dtype, gradient } = variables[variable]!;
  const length = shape[0] * shape[1];
  const values = numbers(dtype, length, 1000 * seed + 100 * step + 10 * variable + part);
  if (options.gradientAccumulationSteps) for (let i = 0; i < length; i++) values[i] = Math.round(64 * (values[i]! % 8)) / 64;
  if (gradient === "rows") for (let i = 0; i < length; i++) if (Math.floor(i / shape[1]) % 3 !== 0) values[i] = 0;
  return values;
};

/** Rows that are not all zero. */
const inRows = (values: Values, columns: number): IndexedSlices => {
  const rows = Array.from({ length: columns === 0 ? 0 : values.length / columns }, (_, row) => row).filter((row) =>
    values.subarray(row * columns, (row + 1) * columns).some((x) => x !== 0),
  );
  const kept = new (values.constructor as Float32ArrayConstructor)(rows.length * columns);
  for (const [i, row] of rows.entries()) kept.set(values.subarray(row * columns, (row + 1) * columns), i * columns);
  return new IndexedSlices(kept, rows);
};

const firstValue = ({ variables, seed }: MeshModel, i: number): Values =>
  numbers(variables[i]!.dtype, variables[i]!.shape[0] * variables[i]!.shape[1], seed + 7 * i);

/** On a rank: the values and the state, whole, after the steps. */
export const trainOnRank = async (model: MeshModel, mesh: Mesh, threads: number): Promise<Values[]> => {
  const { options, weights, steps } = model;
  using optimizer = new Adamax({ ...options, threads, mesh });
  const layouts = model.variables.map(({ specs }) => new Layout(specs, mesh));
  const variables = model.variables.map(({ shape, foreign }, i) => {
    // Only rank 0 knows the values; the others' are brought into line.
    const value = mesh.rank === 0 || !layouts[i]!.isFullyReplicated ? firstValue(model, i) : firstValue(model, i).fill(9);
    if (layouts[i]!.isFullyReplicated) return new Variable(value, { shape, name: `${i}`, adopt: !foreign });
    return layouts[i]!.variable(value, { shape, name: `${i}` });
  });
  optimizer.build(variables);
  const place = mesh.coord("batch");
  for (let step = 0; step < steps; step++) {
    const pairs = variables.map((variable, i) => {
      const { shape, gradient, specs } = model.variables[i]!;
      // A variable that is cut along the batch, too, has one gradient: nobody averages it.
      const whole = gradientOf(model, i, step, specs.includes("batch") ? 0 : place);
      const part = layouts[i]!.slice(whole, shape);
      if (gradient === "rows") return [inRows(part, layouts[i]!.localShape(shape)[1]!), variable] as const;
      if (gradient === "dense") return [part, variable] as const;
      variable.gradient.set(part);
      return [variable.gradient, variable] as const;
    });
    optimizer.applyGradients(pairs, weights ? { weight: weights[place]! } : undefined);
  }
  const values: Values[] = [];
  for (const variable of variables) values.push(await variable.read());
  return [...values, ...optimizer.variables.slice(1).map(({ value }) => (value as Values).slice())];
};

/** The gradient that ranks at these places have in common: in float64, in their order, rounded once. */
export const reduced = (parts: readonly Values[], weights: readonly number[], sums: boolean): Values => {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const factors = weights.map((weight) => (sums ? Math.min(1, Math.ceil(weight)) : weight / total));
  return parts[0]!.map((_, k) => {
    let sum = -0;
    for (const [place, part] of parts.entries()) if (factors[place] !== 0) sum += factors[place]! * part[k]!;
    return sum;
  });
};

/** On one machine: the same, of the gradients that `places` ranks along the batch have. */
export const trainAlone = (model: MeshModel, places: number): Values[] => {
  const { options, steps, mesh } = model;
  const weights = model.weights?.slice(0, places) ?? new Array<number>(places).fill(1);
  const every = options.gradientAccumulationSteps ?? 1;
  using optimizer = new Adamax({ ...options, threads: 1 });
  const variables = model.variables.map(({ shape }, i) => new Variable(firstValue(model, i), { shape, name: `${i}` }));
  optimizer.build(variables);
  for (let step = 0; step < steps; step++) {
    const pairs = variables.map((variable, i) => {
      const isCut = model.variables[i]!.specs.includes("batch");
      const gradients = (at: number) => Array.from({ length: isCut ? 1 : places }, (_, place) => gradientOf(model, i, at, place));
      const counts = isCut ? [1] : weights;
      if (every === 1) return [reduced(gradients(step), counts, mesh.reduction === "sum"), variable] as const;
      // Ranks add up their own first. What they have together comes with the first micro-batch here, and zeros after it.
      const zeros = new ARRAYS[variable.dtype](variable.length);
      const first = step - (step % every);
      if (step !== first) return [zeros, variable] as const;
      const last = Math.min(first + every, steps);
      const own = Array.from({ length: last - first }, (_, k) => gradients(first + k));
      const sums = own[0]!.map((values, place) => values.map((_, k) => own.reduce((sum, parts) => sum + parts[place]![k]!, 0)));
      return [reduced(sums, counts, mesh.reduction === "sum"), variable] as const;
    });
    optimizer.applyGradients(pairs);
  }
  return [
    ...variables.map(({ value }) => value.slice()),
    ...optimizer.variables.slice(1).map(({ value }) => (value as Values).slice()),
  ];
};
