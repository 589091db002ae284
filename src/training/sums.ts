/** What is measured of each batch, summed up over an epoch. */

/** The values of the batches so far. `totals` has the loss and each metric by its name. */
export interface Sums {
  count: number;
  readonly totals: Record<string, number>;
}

export const noSums = (): Sums => ({ count: 0, totals: {} });

export const add = (sums: Sums, measured: Readonly<Record<string, number>>): void => {
  const { totals } = sums;
  for (const [name, value] of Object.entries(measured)) totals[name] = (Object.hasOwn(totals, name) ? totals[name]! : 0) + value;
  sums.count++;
};

/** Over the batches so far, under the names that `rename` makes of theirs. */
export const meansOf = ({ count, totals }: Sums, rename = (name: string) => name): Record<string, number> =>
  Object.fromEntries(Object.entries(totals).map(([name, total]) => [rename(name), total / count]));

/** What a number is called that the validation measured: `valLoss`. */
export const validationName = (name: string): string => `val${name[0]!.toUpperCase()}${name.slice(1)}`;
