/** What is measured of each batch, summed up over an epoch. */

/** The values of the batches so far. `totals` has the loss and each metric by its name, `counts` of how many batches it is. */
export interface Sums {
  count: number;
  readonly totals: Record<string, number>;
  readonly counts: Record<string, number>;
}

/** As checkpoints have them: in older ones everything is of all batches. */
export type SavedSums = Omit<Sums, "counts"> & Partial<Sums>;

export const noSums = (): Sums => ({ count: 0, totals: {}, counts: {} });

/** Those of a checkpoint, of these names alone: what had been summed up under others does not go on. */
export const sumsFrom = ({ count, totals, counts = {} }: SavedSums, names: readonly string[]): Sums => {
  const known = names.filter((name) => Object.hasOwn(totals, name));
  const of = (values: Readonly<Record<string, number>>, missing: number) =>
    Object.fromEntries(known.map((name) => [name, Object.hasOwn(values, name) ? values[name]! : missing]));
  return { count, totals: of(totals, 0), counts: of(counts, count) };
};

export const add = (sums: Sums, measured: Readonly<Record<string, number>>): void => {
  const { totals, counts } = sums;
  const more = (values: Record<string, number>, name: string, value: number) => {
    values[name] = (Object.hasOwn(values, name) ? values[name]! : 0) + value;
  };
  for (const [name, value] of Object.entries(measured)) {
    more(totals, name, value);
    more(counts, name, 1);
  }
  sums.count++;
};

/** Over the batches that measured them, under the names that `rename` makes of theirs. */
export const meansOf = ({ totals, counts }: Sums, rename = (name: string) => name): Record<string, number> =>
  Object.fromEntries(Object.entries(totals).map(([name, total]) => [rename(name), total / counts[name]!]));

/** What a number is called that the validation measured: `valLoss`. */
export const validationName = (name: string): string => `val${name[0]!.toUpperCase()}${name.slice(1)}`;
