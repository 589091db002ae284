/** The same in a page: `npx vite examples/webgpu`, after npm run build. Every hundred steps, the picture shows what it has learned. */

import { WebGpuBackend } from "adamax/webgpu";
import { coloursOf, Network, rightOf, SIDE } from "./network.js";

const status = document.querySelector("#status")!;
try {
  const backend = await WebGpuBackend.create();
  const network = new Network(backend);
  const canvas = document.querySelector("canvas")!.getContext("2d")!;
  for (let steps = 100; steps <= 1500; steps += 100) {
    const loss = await network.train(100);
    const picture = await network.picture();
    canvas.putImageData(new ImageData(coloursOf(picture), SIDE, SIDE), 0, 0);
    status.textContent = `${steps} steps, loss ${loss.toFixed(3)}, ${(100 * rightOf(picture)).toFixed(1)} % of the points right. ${backend.why}`;
  }
  network.dispose();
  backend.dispose();
} catch (error) {
  status.textContent = `${error}`;
}
