/** Variables that do not fit one memory lie in several. */

import { BackendError, type Program, type RowRequest, Variable } from "adamax";
import { expect, test } from "vitest";
import { placeRows } from "../src/backends/cpu/memory.js";

const program: Program = {
  dtype: "float32",
  buffers: ["w"],
  scalars: [],
  uniforms: [],
  passes: [{ nodes: [], stores: [], sums: [] }],
  exposed: false,
};

const request = (length: number, name: string): RowRequest => ({
  variable: new Variable(new Float32Array(length), { name }),
  range: { begin: 0, end: length },
  class: 0,
  state: ["slot"],
  foreign: null,
});

const place = (maxBytes: number, lengths: readonly number[]) => {
  const allocated: number[] = [];
  const engine = {
    name: "small",
    why: "a test",
    maxBytes,
    threads: 1,
    allocate: (bytes: number) => {
      allocated.push(bytes);
      return { buffer: new ArrayBuffer(Math.ceil(bytes / 8) * 8) };
    },
    compile: () => () => () => {},
  };
  const requests = lengths.map((length, i) => request(length, `${i}`));
  return { allocated, rows: () => placeRows(engine, requests, [program], 5) };
};

test.each([
  [1e9, 1],
  [6e6, 2],
  [3e6, 4],
  [2e6, 8],
])("eight variables of 1.2 MB each in memories of at most %d bytes: in %d of them, in their order", (maxBytes, memories) => {
  const { allocated, rows } = place(
    maxBytes,
    Array.from({ length: 8 }, () => 100_000),
  );
  const placed = rows();
  expect(placed.map(({ index }) => index)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
  expect(new Set(placed.map(({ segment }) => segment)).size).toBe(memories);
  expect(allocated).toHaveLength(memories);
  expect(Math.max(...allocated)).toBeLessThanOrEqual(maxBytes);
  placed.forEach((row, i) => {
    row.view("w").fill(i);
  });
  placed.forEach((row, i) => {
    expect(new Set(row.view("w"))).toEqual(new Set([i]));
    expect(row.view("w").length).toBe(100_000);
  });
});

test("one that fits none is an error that names it, and nothing is asked for", () => {
  const { allocated, rows } = place(2e6, [10, 1_000_000, 10]);
  expect(rows).toThrow(BackendError);
  expect(rows).toThrow(/A variable with its state must fit 2000000 bytes\. Received: \d+ for "1"\. Split it/);
  expect(allocated).toEqual([]);
});
