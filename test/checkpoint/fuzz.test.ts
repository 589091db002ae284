import { Adamax, CheckpointError } from "adamax";
import { inspectCheckpoint, loadCheckpoint } from "adamax/checkpoint";
import { expect, test, vi } from "vitest";
import { fuzz } from "./fuzz.js";
import { rejection } from "./helpers.js";

vi.setConfig({ testTimeout: 120_000 });

test("a damaged file loads as it was written, or fails with a CheckpointError and changes nothing", async () => {
  const { broken, refused, loaded } = await fuzz(1700, 20);
  expect(broken).toEqual([]);
  expect(refused).toBeGreaterThan(1500);
  expect(loaded).toBeGreaterThan(0); // exchanging equal blocks is no damage
});

/** A file that is one header. */
const headerOnly = (text: string): Uint8Array => {
  const header = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + header.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  return bytes;
};
const full = (unit: string, begin: string, end: string) =>
  begin + unit.repeat(Math.floor((2 ** 24 - begin.length - end.length - 20) / unit.length)) + end;

test.each([
  ["empty arrays", full("[],", '{"a":{"shape":[', "0]}}")],
  ["empty objects", full("{},", '{"a":{"shape":[', "0]}}")],
  ["numbers", full("1,", '{"a":{"shape":[', "0]}}")],
  ["quotes that stay open", full('"', "{", "")],
  ["brackets that stay open", full("[", "", "")],
  ["one long text", full("\\u0041", '{"__metadata__":{"format":"', '"}}')],
])("the longest header, of %s: refused within 2 s of a processor's time and 256 MiB beyond its size", async (_, text) => {
  const bytes = headerOnly(text);
  const before = process.memoryUsage.rss();
  const start = process.cpuUsage();
  expect(await rejection(inspectCheckpoint(bytes))).toBeInstanceOf(CheckpointError);
  const { user, system } = process.cpuUsage(start);
  expect((user + system) / 1e6).toBeLessThan(2);
  expect((process.memoryUsage.rss() - before - bytes.length) / 2 ** 20).toBeLessThan(256);
});

test("a header longer than 16 MiB is refused before it is read", async () => {
  const bytes = headerOnly(" ".repeat(2 ** 24 + 8));
  expect((await rejection(loadCheckpoint(bytes, { optimizer: Adamax }))).message).toContain("more than 16 MiB");
});
