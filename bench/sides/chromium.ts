/** tf.Optimizers on TensorFlow.js' webgl and webgpu backends: a page in Chromium, told to step like the sides in other processes. */

import { fileURLToPath } from "node:url";
import { type OpenedPage, openPage } from "../../examples/browser/open-page.js";
import type { Side } from "../measure.js";

export interface Chromium {
  readonly page: OpenedPage<typeof import("../page.js")>;
  /** What draws, in words. */
  readonly adapter: string;
}

/** @throws Error that says what to do where there is no Chromium. */
export const startChromium = async (backend: "webgl" | "webgpu"): Promise<Chromium> => {
  const module = import.meta.url.endsWith(".ts") ? "../page.ts" : "../page.js"; // in the repository, and in the package
  const page = await openPage<typeof import("../page.js")>(fileURLToPath(new URL(module, import.meta.url)));
  const adapter = await page.call("start", backend);
  const isSoftware = /SwiftShader|llvmpipe/i.test(adapter);
  return { page, adapter: `${adapter}${isSoftware ? ": a program, not a GPU. The ratio on a GPU differs" : ""}` };
};

/** Nanoseconds. A sample ends with a wait for the GPU, and so it is made of more steps than were asked for. */
const SAMPLE = 2e7;

/** `work` is what the page calls the work. Nobody can tell from here what other processes did meanwhile: every sample counts as undisturbed. */
export const inChromium = ({ page }: Chromium, name: string, work: number): Side => {
  let step = Number.POSITIVE_INFINITY;
  return {
    name,
    cores: 1,
    run: async (repeats) => {
      const made = Math.max(1, Math.round(SAMPLE / step));
      step = (await page.call("run", work, made)) / made;
      return { wall: step * repeats, processor: step * repeats };
    },
    dispose: () => page.call("dispose", work),
  };
};
