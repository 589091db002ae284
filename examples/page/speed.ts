/** How long a step takes here, without gradients: what the optimizer itself costs. */

import { Adamax, Variable, WasmBackend } from "adamax";

export interface Speed {
  /** Median, in milliseconds. */
  readonly milliseconds: number;
  readonly steps: number;
  /** Steps that worker threads had a part in. */
  readonly shared: number;
  readonly why: string;
}

/** Takes about `seconds`. `threads` is "auto" or a number. */
export const measureSpeed = async (parameters: number, threads: "auto" | number, seconds = 1): Promise<Speed> => {
  const backend = new WasmBackend({ threads });
  const optimizer = new Adamax({ backend });
  const variable = new Variable(new Float32Array(parameters));
  try {
    optimizer.build([variable]);
    variable.gradient.fill(1);
    const times: number[] = [];
    const end = performance.now() + 1000 * seconds;
    while (performance.now() < end) {
      for (let i = 0; i < 20; i++) {
        const begin = performance.now();
        optimizer.applyGradients([[variable.gradient, variable]]);
        times.push(performance.now() - begin);
      }
      await new Promise((done) => setTimeout(done)); // workers start, and the page stays alive
    }
    const milliseconds = times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
    return { milliseconds, steps: times.length, shared: backend.sharedPasses, why: backend.why };
  } finally {
    optimizer.dispose();
    backend.dispose();
  }
};
