/** Where variables lie in arenas, and how arrays get there and back. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { TILE } from "../../src/backends/webgpu/layout.js";
import { allocate, layOut } from "../../src/backends/webgpu/memory.js";
import { Uploads } from "../../src/backends/webgpu/uploads.js";
import { around, openDevice } from "./helpers.js";

test("a layout holds every element once, begins variables on 256 bytes, cuts on tiles, and only what no arena holds", () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 5 * TILE }), { maxLength: 20 });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 3 }), (lengths, tiles) => {
      const capacity = tiles * TILE;
      const { variables, arenas } = layOut(lengths, capacity);
      expect(arenas.every((elements) => elements <= capacity)).toBe(true);
      const taken = arenas.map(() => 0);
      for (const [i, ranges] of variables.entries()) {
        expect(ranges.length).toBe(Math.ceil(lengths[i]! / capacity));
        let begin = 0;
        for (const range of ranges) {
          expect(range.begin).toBe(begin);
          expect(range.begin % TILE).toBe(0);
          expect(range.offset % 64).toBe(0);
          expect(range.offset).toBeGreaterThanOrEqual(taken[range.arena]!);
          taken[range.arena] = range.offset + range.length;
          expect(taken[range.arena]).toBeLessThanOrEqual(arenas[range.arena]!);
          begin += range.length;
        }
        expect(begin).toBe(lengths[i]);
      }
    }),
  );
});

test("a range that lies in three arenas is written and read as one", async () => {
  const device = await openDevice();
  const { variables } = await allocate(device, [10, 3 * TILE + 5], ["w", "g", "slot"], TILE);
  const [, variable] = variables;
  const values = around(1, 2 * TILE + 3, 1);
  variable!.write("slot", 7, values);
  expect(await variable!.read("slot", 7, 7 + values.length)).toEqual(values);
  expect(await variable!.read("slot", TILE - 2, TILE + 2)).toEqual(values.slice(TILE - 9, TILE - 5));
  expect([...(await variable!.read("slot", 0, 7))]).toEqual(new Array(7).fill(0));
  expect([...(await variable!.read("w", 0, 3 * TILE + 5))].every((value) => value === 0)).toBe(true);
  expect((await variable!.read("slot", 5, 5)).length).toBe(0);
});

test("uploads bring each array to its place, small ones in one call", async () => {
  const device = await openDevice();
  const lengths = [3, 64, 1, 40_000, 100, 70, 33_000, 0, 5, ...new Array(500).fill(1000)];
  const { variables } = await allocate(device, lengths, ["w", "g"]);
  const arrays = lengths.map((length, i) => around(1, length, i + 1));
  let calls = 0;
  const { writeBuffer } = device.gpu.queue;
  device.gpu.queue.writeBuffer = (...given: Parameters<typeof writeBuffer>) => {
    calls++;
    return writeBuffer.apply(device.gpu.queue, given);
  };
  const uploads = new Uploads(device.gpu.queue);
  for (const [i, { parts }] of variables.entries()) for (const part of parts) uploads.add(part.g, arrays[i]!);
  uploads.flush();
  uploads.flush();
  expect(calls).toBe(6); // two that are large, and a piece before, between and two behind them
  for (const [i, variable] of variables.entries()) expect(await variable.read("g", 0, lengths[i]!)).toEqual(arrays[i]);
});
