/** Damaged and hostile files of Keras. HDF5 is read in a worker of the built package. */

import { readFileSync } from "node:fs";
import { unzipSync, zipSync } from "fflate";
import { describe, expect, test, vi } from "vitest";
import { readKeras, writeKeras } from "../../dist/checkpoint/index.js";
import { CheckpointError } from "../../dist/index.js";
import { fuzzKeras, makeBombs } from "./fuzz-keras.js";
import { rejection } from "./helpers.js";
import { FOLDER } from "./keras-training.js";

vi.setConfig({ testTimeout: 300_000 });

test("a damaged file, and one that claims more than it holds, loads or fails with a CheckpointError, and needs at most 256 MiB beyond its size", async () => {
  // A busy machine starts workers slowly: that they take 2 s at most is measured by the long run (docs/checkpoints.md).
  const bombs = await makeBombs();
  const { broken, outcome } = await fuzzKeras(bombs.length * 8, 20, { bombs, bombEvery: 8, mostMilliseconds: 30_000 });
  expect(broken).toEqual([]);
  for (const { files, past, refused } of Object.values(outcome)) {
    expect(past).toBeGreaterThan(files / 2);
    expect(refused).toBeGreaterThan(files / 3);
  }
});

const bytesOf = (file: string) => new Uint8Array(readFileSync(`${FOLDER}/${file}`));
/** One bit of the numbers that `needle` begins with, wherever they stand. */
const withOneBit = (bytes: Uint8Array, needle: Float32Array): Uint8Array => {
  const out = bytes.slice();
  const at = Buffer.from(out.buffer).indexOf(Buffer.from(needle.slice(0, 4).buffer));
  expect(at).toBeGreaterThan(0);
  out[at + 5]! ^= 4;
  return out;
};

describe("a bit that flipped among the weights", () => {
  test.each(["keras-plain.weights.h5", "tf_keras-plain.h5"])(
    "of %s as this library writes it is found by its checksum",
    async (file) => {
      const model = await readKeras(bytesOf(file));
      const written = await writeKeras(model, model.format as "h5");
      expect((await readKeras(written)).variables).toEqual(model.variables);
      const damaged = withOneBit(written, model.variables[0]!.value as Float32Array);
      const error = await rejection(readKeras(damaged));
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.message).toContain("adamax_crc32");
    },
  );

  test("of a .keras archive is found by the checksum of its entry", async () => {
    const bytes = bytesOf("keras-plain.keras");
    const { variables } = await readKeras(bytes);
    const error = await rejection(readKeras(withOneBit(bytes, variables[0]!.value as Float32Array)));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain('another checksum for "model.weights.h5"');
  });
});

test("an archive whose directory leaves an entry out, or calls one otherwise, is refused", async () => {
  const bytes = zipSync(unzipSync(bytesOf("keras-plain.keras")), { level: 0 });
  const fewer = bytes.slice();
  new DataView(fewer.buffer).setUint16(fewer.length - 14, 2, true);
  expect((await rejection(readKeras(fewer))).message).toContain("3 entries, of which 2 were found");
  const other = bytes.slice();
  const at = Buffer.from(other.buffer).lastIndexOf("metadata.json");
  other[at] = "n".charCodeAt(0);
  expect((await rejection(readKeras(other))).message).toContain("listed under another name");
});
