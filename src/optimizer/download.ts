/** Fetching state from memory that is far. */

import type { Row, Values } from "../backend.js";
import type { Lifecycle } from "../lifecycle.js";
import type { KeptArray } from "../rule/step-program.js";
import type { Variable } from "../variable.js";
import type { OptimizerState } from "./state.js";

/** Copies what cannot be seen from here. What was changed meanwhile is not kept: copies of two moments are of none. */
export const download = async ({ trained, arrays, downloads }: OptimizerState, life: Lifecycle): Promise<void> => {
  const { changes } = life;
  const far = trained.filter(({ row }) => !row.view);
  const copies = await Promise.all(far.map(({ variable, row }) => copiesOf(variable, row, arrays)));
  life.assert("save"); // what was enqueued before may not have come to its end
  if (life.changes !== changes) return;
  far.forEach(({ row }, i) => {
    downloads.set(row, copies[i]!);
  });
  life.onChange = () => downloads.clear();
};

const copiesOf = async ({ dtype, length }: Variable, row: Row, arrays: readonly KeptArray[]): Promise<Map<string, Values>> => {
  const empty = (): Values => (dtype === "float32" ? new Float32Array(length) : new Float64Array(length));
  const copies = new Map(arrays.map(({ array }) => [array, empty()] as const));
  await Promise.all([...copies].map(([array, copy]) => row.read(array, 0, copy)));
  return copies;
};
