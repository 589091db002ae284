/** A page on its own GPU device: without options, with a device of its own, and a network that never leaves it. */

import { Adamax, Variable } from "adamax";
import { WebGpuBackend } from "adamax/webgpu";
import { expect, test } from "vitest";
import { coloursOf, Network, rightOf, SIDE } from "../../examples/webgpu/network.js";

test("a backend comes from navigator.gpu, and says on which adapter it computes", async () => {
  const backend = await WebGpuBackend.create();
  expect(backend.why).toMatch(/^WebGPU on /);
  using optimizer = new Adamax({ backend, learningRate: 0.5 });
  const w = new Variable(Float32Array.of(1, -1), { name: "w" });
  optimizer.applyGradients([[Float32Array.of(1, -1), w]]);
  expect([...(await w.read())].map((x) => x.toFixed(3))).toEqual(["0.500", "-0.500"]);
  backend.dispose();
});

test("what only shaders have written trains a network on the page's own device, and a canvas shows what it has learned", async () => {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  const backend = await WebGpuBackend.create({ device });
  const network = new Network(backend);
  const first = await network.train(1);
  const last = await network.train(400);
  const picture = await network.picture();
  expect([first > 0.5, last < 0.1, rightOf(picture) > 0.97]).toEqual([true, true, true]);
  const canvas = new OffscreenCanvas(SIDE, SIDE).getContext("2d")!;
  canvas.putImageData(new ImageData(coloursOf(picture), SIDE, SIDE), 0, 0);
  const corners = [canvas.getImageData(0, 0, 1, 1), canvas.getImageData(SIDE - 1, SIDE - 1, 1, 1)].map(({ data }) => [...data]);
  expect(corners[0]).not.toEqual(corners[1]);
  network.dispose();
  backend.dispose();
  expect(await Promise.race([device.lost.then(() => "lost"), device.queue.onSubmittedWorkDone().then(() => "there")])).toBe(
    "there",
  );
});
