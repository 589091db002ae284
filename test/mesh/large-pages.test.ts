/** Memory in large pages: what is asked of the system, and that it is only a wish. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import * as koffi from "koffi";
import { expect, test } from "vitest";
import { LARGE_PAGE_BYTES, largePagesBy } from "../../src/mesh/large-pages.js";

type Asked = readonly [begin: bigint, length: bigint, advice: number];

/** What is asked for memory that begins at this address. */
const askedFor = (address: bigint, bytes: number): Asked[] => {
  const asked: Asked[] = [];
  const fake = {
    load: () => ({
      func:
        () =>
        (...parts: Asked) =>
          asked.push(parts),
    }),
    address: () => address,
  };
  largePagesBy(fake as unknown as typeof koffi)(new ArrayBuffer(bytes));
  return asked;
};

test("only whole large pages are asked for, all that lie in the memory, and none where there is none", () => {
  const page = BigInt(LARGE_PAGE_BYTES);
  const anyAddress = fc.bigInt({ min: 0n, max: 2n ** 47n }).map((address) => address & ~0xfffn);
  fc.assert(
    fc.property(anyAddress, fc.integer({ min: 0, max: 5 * LARGE_PAGE_BYTES }), (address, bytes) => {
      const end = address + BigInt(bytes);
      const [asked, ...more] = askedFor(address, bytes);
      expect(more).toEqual([]);
      if (!asked) {
        expect(bytes).toBeLessThan(2 * LARGE_PAGE_BYTES);
        return;
      }
      const [begin, length, advice] = asked;
      expect([begin % page, length % page, advice]).toEqual([0n, 0n, 14]); // MADV_HUGEPAGE
      expect(begin - address >= 0n && begin - address < page && end - begin - length >= 0n && end - begin - length < page).toBe(
        true,
      );
    }),
    { numRuns: 200 },
  );
});

test("memory with a large page more on each side has all in between in large pages", () => {
  for (let offset = 0; offset < 32; offset++) {
    const address = BigInt(0x7f0000000000 + offset * 65536);
    const [asked] = askedFor(address, 2 * LARGE_PAGE_BYTES + 1000);
    const [begin, length] = asked!;
    expect(begin <= address + BigInt(LARGE_PAGE_BYTES)).toBe(true);
    expect(begin + length >= address + BigInt(LARGE_PAGE_BYTES + 1000)).toBe(true);
  }
});

test("the system is asked, and what is in the memory stays", () => {
  for (const shared of [false, true]) {
    const { buffer } = new WebAssembly.Memory({ initial: 128, maximum: 128, shared });
    const bytes = new Uint8Array(buffer).fill(7);
    largePagesBy(koffi)(buffer);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
    const hex = (text: string) => BigInt(`0x${text}`);
    const middle = koffi.address(bytes) + BigInt(bytes.length / 2);
    const part = readFileSync("/proc/self/smaps", "utf8")
      .split(/\n(?=[0-9a-f]+-)/)
      .find((text) => {
        const [, begin, end] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(text) ?? [];
        return begin !== undefined && hex(begin) <= middle && middle < hex(end!);
      });
    const [, flags] = /VmFlags: (.*)/.exec(part!)!;
    expect(flags!.split(" ")).toContain("hg");
  }
});
