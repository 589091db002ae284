/** The commands, with what the help says of them. */

import { convert } from "./convert.js";
import { diff } from "./diff.js";
import { inspect } from "./inspect.js";
import { runBench, runDemo } from "./programs.js";
import { coloursOf, type Progress, printOn } from "./terminal.js";
import { type Command, UsageError } from "./usage.js";

const print = printOn(process.stdout);

const examples = (...lines: string[]): string => `Examples:\n${lines.map((line) => `  $ adamax ${line}`).join("\n")}`;

const optimizer = { value: "name", about: "which one, of a TensorFlow checkpoint that holds several" };

/** What a table's options came to: all of them are switches or texts. */
const as = <Given extends object>(options: object): Given => options as Given;

const count = (option: string, text: string): number => {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0) return value;
  throw new UsageError(`--${option} takes an integer of 0 or more. Received: ${text}.`);
};

interface RunnableCommand extends Command {
  /** @returns the exit code. */
  run(words: readonly string[], options: object, progress: Progress): Promise<number>;
}

const COMMANDS_BY_NAME = {
  inspect: {
    about: "what a file holds: optimizer, configuration, steps, and figures of every array",
    takes: "<file>",
    options: {
      json: { about: "as JSON" },
      html: { value: "page", about: "write a page with histograms instead, which needs nothing else" },
      force: { about: "replace <page>" },
      optimizer,
    },
    more: examples(
      "inspect model.keras",
      "inspect run.safetensors --json | jq .steps",
      "inspect run.safetensors --html run.html",
    ),
    run: ([file], options) => inspect(file!, as(options), print, coloursOf(process.stdout)),
  },
  convert: {
    about: "any readable format to any writable one",
    takes: "<in> <out>",
    words: { in: "what is read", out: "its end tells the format" },
    options: {
      force: { about: "replace <out>" },
      into: {
        value: "file",
        about: "take the architecture from this file of the format of <out>, and replace its weights and optimizer",
      },
      options: { value: "json", about: "the optimizer's options, for files that do not hold them" },
      optimizer,
    },
    more: examples(
      "convert model.keras model.weights.h5",
      "convert model.keras run.safetensors",
      "convert run.safetensors trained.keras --into model.keras",
      `convert model.weights.h5 run.safetensors --options '{"learning_rate": 0.01}'`,
      `convert model.index run.safetensors --options '{"learning_rate": 0.01}'`,
      "convert saved-model run.safetensors",
      "convert adamax.npz run.safetensors",
    ),
    run: ([from, to], options, progress) => convert(from!, to!, as(options), progress),
  },
  diff: {
    about: "which variables and settings differ, and by how many ulps; exits with 1 if any does",
    takes: "<a> <b>",
    options: { ulps: { value: "n", about: "differences up to so many ulps count as none" }, optimizer },
    more: examples("diff before.keras after.keras", "diff ours.weights.h5 theirs.weights.h5 --ulps 4"),
    run: ([a, b], options) => {
      const { ulps, ...chosen } = as<{ ulps?: string; optimizer?: string }>(options);
      return diff(a!, b!, ulps === undefined ? chosen : { ...chosen, ulps: count("ulps", ulps) }, print);
    },
  },
  bench: {
    about: "how fast a step is here: ratios to C, TensorFlow.js, jax-js and others, as far as they are installed",
    takes: "[questions...]",
    words: {
      questions:
        "step, threads, small, tfjs, tfjs-fit, tfjs-webgpu, webgpu, mesh, options, dead-units, memory, python (default: step)",
    },
    options: {
      out: { value: "folder", about: "for the page with plots and for JSON", default: "adamax-bench" },
      force: { about: "replace earlier answers there" },
      targets: { about: "beside each ratio what this project aims at, and where it is missed" },
    },
    more: `What is compared with is not installed by this package; what is missing is named. With everything:
  $ npx -p adamax -p @tensorflow/tfjs -p @tensorflow/tfjs-backend-wasm -p @jax-js/jax adamax bench
C needs a compiler (cc, or CC=...). python needs torch, keras, optax, tensorflow (any of them) in PYTHON=...
A question takes one to three minutes.

${examples("bench", "bench small memory", "bench threads --out figures")}`,
    run: (questions, options) => runBench(questions.length > 0 ? questions : ["step"], as(options)),
  },
  demo: {
    about: "trains a small speech denoiser, and compares optimizers; writes a page with sounds",
    takes: "",
    options: {
      quick: { about: "twenty seconds instead of one or two minutes" },
      recordings: {
        value: "folder",
        about: "train on your own: WAV, 8 kHz, mono, 16 bit, thirty or more of a few seconds; default: a synthesised voice",
      },
      out: { value: "folder", about: "for the page and the sounds", default: "adamax-demo" },
      force: { about: "replace those of an earlier run" },
    },
    more: `It needs packages that this one does not install:
  $ npx -p adamax -p @tensorflow/tfjs -p @tensorflow/tfjs-backend-wasm -p fft.js adamax demo

What it found on real recordings: docs/speech-study.md.

${examples("demo --quick", "demo --recordings my-voice --out speech")}`,
    run: (_, options) => runDemo(as(options)),
  },
} satisfies Record<string, RunnableCommand>;

export const COMMANDS: Readonly<Record<keyof typeof COMMANDS_BY_NAME, RunnableCommand>> = COMMANDS_BY_NAME;
