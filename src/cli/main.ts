#!/usr/bin/env node
/** The command `adamax`. Exit codes: 0, 1 for a difference or a failure, 2 for wrong use. */

import { readFileSync } from "node:fs";
import { COMMANDS } from "./commands.js";
import { coloursOf, printOn, progressOn } from "./terminal.js";
import { COMMON, chosen, columns, helpOf, optionsHelp, read, UsageError } from "./usage.js";

const complain = printOn(process.stderr);
const progress = progressOn(process.stderr);
console.warn = complain; // names in warnings come from files, too

// Who reads only the beginning (| head) closes the pipe: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const HELP = () => `Usage: adamax [options] <command>

Looks into, converts and compares checkpoints and files of Keras; measures and shows the optimizer.

Options:
${optionsHelp({ version: { about: "show the version" }, ...COMMON })}

Commands:
${columns(Object.entries(COMMANDS).map(([name, { about }]) => [name, about]))}

adamax <command> --help shows how it is used.

Files: .safetensors (checkpoints of this library), .keras, .weights.h5, .h5, TensorFlow.js' model.json; to read, also TensorFlow's
checkpoints (.index), the folder of a SavedModel, Keras' sharded .weights.json, and exports of PyTorch's and Optax's Adamax
(docs/other-adamax.md), .safetensors or .npz.
Those of Keras need the packages h5wasm and fflate: npx -p adamax -p h5wasm -p fflate adamax inspect model.keras
Those of TensorFlow need @bufbuild/protobuf: npx -p adamax -p @bufbuild/protobuf adamax inspect model.index

Exit codes: 0; 1 for a difference or a failure; 2 for wrong use.`;

const say = (text: string): number => {
  process.stdout.write(`${text}\n`);
  return 0;
};

const args = process.argv.slice(2);
let isDebug = args.includes("--debug");

const run = async (): Promise<number> => {
  const place = args.findIndex((arg) => !arg.startsWith("-"));
  const before = read(place < 0 ? args : args.slice(0, place), { version: { about: "" }, ...COMMON }, "").options;
  if (before.version) {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
    return say(version);
  }
  if (before.help && place < 0) return say(HELP());
  const name = chosen(args[place], COMMANDS);
  const command = COMMANDS[name];
  if (before.help) return say(helpOf(name, command));
  const { words, options } = read(args.slice(place + 1), { ...command.options, ...COMMON }, command.takes);
  isDebug = Boolean(before.debug || options.debug);
  return options.help ? say(helpOf(name, command)) : command.run(words, options, progress);
};

let code: number;
try {
  code = await run();
  progress.end();
} catch (error) {
  progress.end();
  const isUse = error instanceof UsageError;
  const { message = `${error}`, stack = message } = error as Partial<Error>;
  const [first, ...more] = (isDebug ? stack : message).split("\n");
  complain(first!, (text) => (isDebug ? text : `${coloursOf(process.stderr).red("adamax:")} ${text}`));
  for (const line of more) complain(line);
  if (isUse) complain("(adamax --help shows how it is used)");
  code = isUse ? 2 : 1;
}
process.exitCode = code;
