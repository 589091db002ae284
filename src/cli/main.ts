#!/usr/bin/env node
/** The command `adamax`. Exit codes: 0, 1 for a difference or a failure, 2 for wrong use. */

import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { convert } from "./convert.js";
import { diff } from "./diff.js";
import { inspect } from "./inspect.js";
import { runBench, runDemo } from "./programs.js";
import { coloursOf, printOn, progressOn } from "./terminal.js";

const print = printOn(process.stdout);
const complain = printOn(process.stderr);
const progress = progressOn(process.stderr);

// Who reads only the beginning (| head) closes the pipe: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const count = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("It must be an integer of 0 or more.");
};

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };

const program = new Command("adamax")
  .description("Looks into, converts and compares checkpoints and files of Keras; measures and shows the optimizer.")
  .version(version)
  .option("--debug", "show where an error came from")
  .exitOverride()
  .showHelpAfterError("(adamax --help shows how it is used)")
  .addHelpText(
    "after",
    `
Files: .safetensors (checkpoints of this library), .keras, .weights.h5, .h5, TensorFlow.js' model.json; to read, also TensorFlow's
checkpoints (.index), the folder of a SavedModel, Keras' sharded .weights.json, and exports of PyTorch's and Optax's Adamax
(docs/other-adamax.md), .safetensors or .npz.
Those of Keras need the packages h5wasm and fflate: npx -p adamax -p h5wasm -p fflate adamax inspect model.keras
Those of TensorFlow need @bufbuild/protobuf: npx -p adamax -p @bufbuild/protobuf adamax inspect model.index

Exit codes: 0; 1 for a difference or a failure; 2 for wrong use.`,
  );

const WHICH = "which one, of a TensorFlow checkpoint that holds several";
let code = 0;
const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  $ adamax ${line}`).join("\n")}`;

program
  .command("inspect")
  .description("what a file holds: optimizer, configuration, steps, and figures of every array")
  .argument("<file>")
  .option("--json", "as JSON")
  .option("--html <page>", "write a page with histograms instead, which needs nothing else")
  .option("--force", "replace <page>")
  .option("--optimizer <name>", WHICH)
  .addHelpText(
    "after",
    examples("inspect model.keras", "inspect run.safetensors --json | jq .steps", "inspect run.safetensors --html run.html"),
  )
  .action(async (file: string, options: { json?: boolean; html?: string; force?: boolean; optimizer?: string }) => {
    code = await inspect(file, options, print, coloursOf(process.stdout));
  });

program
  .command("convert")
  .description("any readable format to any writable one")
  .argument("<in>")
  .argument("<out>", "its end tells the format")
  .option("--force", "replace <out>")
  .option("--into <file>", "take the architecture from this file of the format of <out>, and replace its weights and optimizer")
  .option("--options <json>", "the optimizer's options, for files that do not hold them")
  .option("--optimizer <name>", WHICH)
  .addHelpText(
    "after",
    examples(
      "convert model.keras model.weights.h5",
      "convert model.keras run.safetensors",
      "convert run.safetensors trained.keras --into model.keras",
      `convert model.weights.h5 run.safetensors --options '{"learning_rate": 0.01}'`,
      `convert model.index run.safetensors --options '{"learning_rate": 0.01}'`,
      "convert saved-model run.safetensors",
      "convert adamax.npz run.safetensors",
    ),
  )
  .action(async (from: string, to: string, options: { force?: boolean; into?: string; options?: string; optimizer?: string }) => {
    code = await convert(from, to, options, progress);
  });

program
  .command("diff")
  .description("which variables and settings differ, and by how many ulps; exits with 1 if any does")
  .argument("<a>")
  .argument("<b>")
  .option("--ulps <n>", "differences up to so many ulps count as none", count)
  .addHelpText("after", examples("diff before.keras after.keras", "diff ours.weights.h5 theirs.weights.h5 --ulps 4"))
  .action(async (a: string, b: string, options: { ulps?: number }) => {
    code = await diff(a, b, options, print);
  });

program
  .command("bench")
  .description("how fast a step is here: ratios to C, TensorFlow.js, jax-js and others, as far as they are installed")
  .argument("[questions...]", "step, threads, small, tfjs, tfjs-fit, options, dead-units, memory, python", ["step"])
  .option("--out <folder>", "for the page with plots and for JSON", "adamax-bench")
  .option("--force", "replace earlier answers there")
  .addHelpText(
    "after",
    `
What is compared with is not installed by this package; what is missing is named. With everything:
  $ npx -p adamax -p @tensorflow/tfjs -p @tensorflow/tfjs-backend-wasm -p @jax-js/jax adamax bench
C needs a compiler (cc, or CC=...). python needs torch, keras, optax, tensorflow (any of them) in PYTHON=...
A question takes one to three minutes.
${examples("bench", "bench small memory", "bench threads --out figures")}`,
  )
  .action(async (questions: string[], options: { out: string; force?: boolean }, command: Command) => {
    code = await runBench(questions, options, (message) => command.error(message, { exitCode: 2 }));
  });

program
  .command("demo")
  .description("trains a speech denoiser on real recordings, and compares optimizers; writes a page with sounds")
  .option("--quick", "ten seconds instead of one or two minutes: too short for numbers that mean something")
  .option("--out <folder>", "for the page and the sounds", "adamax-demo")
  .option("--force", "replace those of an earlier run")
  .addHelpText(
    "after",
    `
It needs packages that this one does not install:
  $ npx -p adamax -p @tensorflow/tfjs -p @tensorflow/tfjs-backend-wasm -p fft.js adamax demo
It learns from a selection of the repository's recordings. The voice is Allison Smith's; recordings and sounds are licensed
CC-BY-SA-3.0: see ATTRIBUTION.md beside them.
${examples("demo --quick", "demo --out speech")}`,
  )
  .action(async (options: { quick?: boolean; out: string; force?: boolean }) => {
    code = await runDemo(options);
  });

for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);

try {
  await program.parseAsync();
  progress.end();
} catch (error) {
  progress.end();
  if (error instanceof CommanderError) code = error.exitCode === 0 ? 0 : 2;
  else {
    const { debug } = program.opts<{ debug?: boolean }>();
    const { message = `${error}`, stack = message } = error as Partial<Error>;
    const [first, ...more] = (debug ? stack : message).split("\n");
    complain(first!, (text) => (debug ? text : `${coloursOf(process.stderr).red("adamax:")} ${text}`));
    for (const line of more) complain(line);
    code = 1;
  }
}
process.exitCode = code;
