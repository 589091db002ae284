/** Exports that cannot be read, or not be carried over, and what the errors say. */

import { readFileSync } from "node:fs";
import { type AdamaxOptions, CheckpointError } from "adamax";
import { type AdamaxExport, readAdamaxExport } from "adamax/checkpoint";
import { strToU8 } from "fflate";
import { describe, expect, test, vi } from "vitest";
import { Lion } from "../../examples/rules/lion.js";
import { edited, npyHeader, renamed, rezipped } from "./adamax-export-edits.js";
import { fuzzExports } from "./adamax-export-fuzz.js";
import { FOLDER } from "./adamax-export-training.js";
import { rejection } from "./helpers.js";

vi.setConfig({ testTimeout: 60_000 }); // making a large archive takes a while

/** Settings of what can be carried over. */
const settingsOf = (saved: AdamaxExport, given: AdamaxOptions) => {
  using optimizer = saved.restore(given).optimizer;
  return optimizer.settings;
};

describe("what is refused is named", () => {
  test.each<[string, () => Uint8Array, RegExp]>([
    [
      "no state",
      () =>
        edited((header) =>
          Object.keys(header)
            .filter((name) => /^exp_avg/.test(name))
            .forEach((name) => {
              header[name.replace("exp_avg", "exp_other")] = header[name]!;
              delete header[name];
            }),
        ),
      /has no state of torch.optim.Adamax/,
    ],
    [
      "a missing norm",
      () => renamed("exp_inf/first_bias", "param/other"),
      /"exp_inf\/first_bias" must be floating-point numbers of shape \[4\].*none/,
    ],
    [
      "state without a parameter",
      () => renamed("param/first_bias", "param/other"),
      /no part of torch.optim.Adamax.*"exp_\w+\/first_bias"|"step\/first_bias"/,
    ],
    [
      "state of another kind",
      () => renamed("step/first_bias", "max_exp_avg_sq/first_bias"),
      /"step\/first_bias" must be a number of steps.*none/,
    ],
    [
      "state of another shape",
      () =>
        edited((header) => {
          header["exp_avg/first_bias"]!.shape = [2, 2];
        }),
      /must be floating-point numbers of shape \[4\].*float32 of shape \[2,2\]/,
    ],
    [
      "state of integers",
      () =>
        edited((header) => {
          header["exp_avg/first_bias"]!.dtype = "I32";
        }),
      /"exp_avg\/first_bias" must be floating-point.*int32/,
    ],
    [
      "another class",
      () =>
        edited((_, about) => {
          Object.assign(about, { class: "torch.optim.Adam" });
        }),
      /class="torch.optim.Adam".*Export one of torch.optim.Adamax/,
    ],
    [
      "no groups",
      () =>
        edited((_, about) => {
          Object.assign(about, { param_groups: [] });
        }),
      /does not say how its optimizer is set/,
    ],
    [
      "a rate that is none",
      () =>
        edited((_, about) => {
          Object.assign(about.param_groups[0]!, { lr: "high" });
        }),
      /lr of torch.optim.Adamax in .* must be a finite number of 0 or more/,
    ],
    [
      "betas out of range",
      () =>
        edited((_, about) => {
          Object.assign(about.param_groups[0]!, { betas: [1, 0.9] });
        }),
      /betas of torch.optim.Adamax .* in \[0, 1\)/,
    ],
    [
      "one beta",
      () =>
        edited((_, about) => {
          Object.assign(about.param_groups[0]!, { betas: [0.9] });
        }),
      /betas of torch.optim.Adamax/,
    ],
    [
      "no word about the optimizer",
      () =>
        rezipped((files) => {
          delete files["optimizer.npy"];
        }),
      /no export of an Adamax.*no array "optimizer" of uint8/,
    ],
    [
      "an archive of something else",
      () =>
        rezipped((files) => {
          files["config.json"] = strToU8("{}");
        }),
      /not NumPy's.*"config.json"/,
    ],
    [
      "Fortran's order",
      () => npyHeader((header) => header.replace("False", "True")),
      /"mu\/first\/bias".*Fortran's order.*ascontiguousarray/,
    ],
    ["bfloat16 in .npz", () => npyHeader((header) => header.replace("<f4", "|V2")), /"mu\/first\/bias".*"\|V2".*np.float32/],
    ["structures", () => npyHeader((header) => header.replace("'<f4'", "[('a', '<f4')]")), /"mu\/first\/bias".*the header/],
    [
      "a shape beyond the bytes",
      () => npyHeader((header) => header.replace("(4,)", "(9007199254740993, 9007199254740993)")),
      /"mu\/first\/bias".*bytes for shape/,
    ],
    [
      "another shape in .npz",
      () => npyHeader((header) => header.replace("(4,)", "(2, 2)")),
      /"mu\/first\/bias" must be floating-point numbers of shape \[4\]/,
    ],
    [
      "no array of NumPy",
      () =>
        rezipped((files) => {
          files["mu/first/bias.npy"] = strToU8("hello");
        }),
      /"mu\/first\/bias".*do not begin as an array of NumPy/,
    ],
    ["a text", () => strToU8("hello world, this is no export"), /not a whole safetensors file/],
    ["nothing", () => new Uint8Array(0), /not a whole safetensors file/],
  ])("%s", async (_, file, message) => {
    const error = await rejection(readAdamaxExport(file()));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(message);
  });

  test("a negative norm, which no maximum of magnitudes is", async () => {
    const bytes = new Uint8Array(readFileSync(`${FOLDER}/torch.safetensors`));
    const { state } = await readAdamaxExport(bytes);
    const norm = state.find(({ name }) => name === "norm/second_kernel")!.value as Float32Array;
    const [at] = [...bytes.keys()].filter((i) =>
      new Uint8Array(norm.buffer, norm.byteOffset, 32).every((byte, j) => bytes[i + j] === byte),
    );
    bytes[at! + 3]! ^= 0x80;
    expect((await rejection(readAdamaxExport(bytes))).message).toMatch(/norm\/\w+ must be 0 or more/);
  });

  test("variables that have made different numbers of steps", async () => {
    const bytes = edited(() => {});
    const { steps: counted } = await readAdamaxExport(bytes);
    const text = new Uint8Array(Float32Array.of(counted).buffer);
    const at = [...bytes.keys()].findLast((i) => text.every((byte, j) => bytes[i + j] === byte))!;
    bytes.set(new Uint8Array(Float32Array.of(counted + 2).buffer), at);
    expect((await rejection(readAdamaxExport(bytes))).message).toMatch(
      /same number of steps. Received: 7 in step\/\w+, 9 in step\/\w+/,
    );
  });

  const group = (changes: object) =>
    readAdamaxExport(
      edited((_, about) => {
        Object.assign(about.param_groups[0]!, changes);
      }),
    );

  test("weight decay in the gradient, which is not ours, unless the caller settles it", async () => {
    const saved = await group({ weight_decay: 0.1 });
    expect(() => saved.restore()).toThrow(/weight_decay=0.1, which PyTorch adds to the gradient.*weightDecay/);
    expect(settingsOf(saved, { weightDecay: null }).weightDecay).toBe(null);
  });

  test("maximize", async () => {
    const saved = await group({ maximize: true });
    expect(() => saved.restore()).toThrow(/maximize=True/);
  });

  test("groups that differ", async () => {
    const two = (changes: object) =>
      readAdamaxExport(
        edited((_, about) => {
          about.param_groups.push({ ...about.param_groups[0], ...changes });
        }),
      );
    const rates = await two({ lr: 0.1 });
    expect(() => rates.restore()).toThrow(/several learning rates \(0.01, 0.1\)/);
    settingsOf(rates, { learningRate: 0.01, groups: [{ names: ["second"], learningRateMultiplier: 10 }] });
    const epsilons = await two({ eps: 0.1 });
    expect(() => epsilons.restore({ learningRate: 0.01 })).toThrow(/param_groups that differ in eps/);
  });

  test("a schedule that was not given again", async () => {
    const saved = await readAdamaxExport(`${FOLDER}/optax-decay-schedule.npz`);
    expect(() => saved.restore()).toThrow(/no learning rate, or a schedule/);
    expect(() => saved.restore({ learningRate: undefined } as never)).toThrow(/no learning rate, or a schedule/);
    expect(() => saved.restore([] as never)).toThrow(/restore takes an optimizer, or options/);
  });

  test("an optimizer without these slots", async () => {
    const saved = await readAdamaxExport(`${FOLDER}/torch.safetensors`);
    expect(() => saved.restore(new Lion())).toThrow(
      /needs an optimizer that keeps momentum and norm. Received: Lion, which keeps momentum/,
    );
  });
});

describe("damage", () => {
  test("2000 damaged exports are read, or fail with a CheckpointError", async () => {
    const { broken, read, refused } = await fuzzExports(2000, 6);
    expect(broken).toEqual([]);
    expect(refused).toBeGreaterThan(1000);
    expect(read).toBeGreaterThan(100); // bits of numbers
  });

  test("an archive that unpacks to far more than its size is refused before it is unpacked", async () => {
    const bomb = rezipped((files) => {
      files["bomb.npy"] = new Uint8Array(140 * 2 ** 20);
    }, 1);
    expect(bomb.length).toBeLessThan(2 ** 21);
    const before = process.memoryUsage.rss();
    const error = await rejection(readAdamaxExport(bomb));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/entries that unpack to more than/);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 2 ** 20);
  });

  test("a header nested deep", async () => {
    const error = await rejection(
      readAdamaxExport(edited((_, about) => Object.assign(about, { class: JSON.parse("[".repeat(300) + "]".repeat(300)) }))),
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/nested deeper/);
  });
});
