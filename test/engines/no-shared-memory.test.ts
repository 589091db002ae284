/** An isolated page of a browser that has no SharedArrayBuffer: WebKitGTK's MiniBrowser. */

import { Adamax, Variable } from "adamax";
import { expect, test } from "vitest";

test("one thread trains, and why blames the browser, not the headers", () => {
  expect([crossOriginIsolated, typeof SharedArrayBuffer]).toEqual([true, "undefined"]);
  const w = new Variable(new Float32Array(1_000_000), { name: "w" });
  const optimizer = new Adamax({ threads: 2 });
  optimizer.applyGradients([[new Float32Array(1_000_000).fill(1), w]]);
  expect(w.value[999_999]).toBeCloseTo(-0.001);
  const { name, why } = optimizer.backend;
  expect([name, why]).toEqual(["wasm", expect.stringContaining("one thread: there is no SharedArrayBuffer here")]);
  expect(why).not.toContain("headers");
  optimizer.dispose();
});
