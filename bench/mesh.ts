/** `npm run bench mesh`: two ranks over MPI on this machine, with the state whole and in shares, and against PyTorch's where PYTHON has it. By name only: it needs
 *  Open MPI's mpirun, and two idle cores. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createMesh } from "adamax/mesh";
import { inProcess, interleave, type Quartiles, quartiles, ratioOf } from "./measure.js";
import { nameOf, parametersOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { build } from "./sides/adamax.js";
import { MODELS, type Turn } from "./sides/mesh-models.js";

const TURNS = 2;
const SECONDS = 5;
const RANKS = 2;

export const mesh = async (): Promise<Answer> => {
  const notes = [`${RANKS} ranks, one thread each; milliseconds are medians of steps.`];
  const turns: Turn[] = [];
  const peers: Turn[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    turns.push(await ours());
    const theirs = await pytorch();
    if (typeof theirs === "string") {
      if (turn === 0) notes.push(theirs);
    } else peers.push(theirs);
  }
  const rows = [
    ...(await meshOfOne()),
    ...MODELS.flatMap((model) => rowsFor(nameOf(model), parametersOf(model), model.tensors, turns, peers)),
  ];
  return { question: "mesh", title: "Two ranks: time of a step", rows, lines: [], notes };
};

const rowsFor = (name: string, parameters: number, tensors: number, turns: readonly Turn[], peers: readonly Turn[]): Row[] => {
  const all = (of: readonly Turn[], side: string) => of.map((turn) => turn[name]!.times[side]!);
  /** Turn by turn, medians over medians. */
  const ratio = (over: readonly number[][], under: readonly number[][]): Quartiles =>
    quartiles(over.map((times, i) => quartiles(times).median / quartiles(under[i]!).median));
  const [plain, replicated, sharded] = ["plain", "replicated", "sharded"].map((side) => all(turns, side)) as [
    number[][],
    number[][],
    number[][],
  ];
  const note = (times: readonly number[][]) => `${quartiles(times.flat()).median.toPrecision(3)} ms`;
  const bytes = (side: string) => `${(turns[0]![name]!.bytes[side]! / 1e6).toPrecision(3)} MB sent by each rank`;
  const rows: Row[] = [
    {
      of: name,
      ratio: "state whole / no mesh",
      value: ratio(replicated, plain),
      note: `${note(replicated)}, ${bytes("replicated")}`,
    },
    { of: name, ratio: "state in shares / no mesh", value: ratio(sharded, plain), note: `${note(sharded)}, ${bytes("sharded")}` },
    {
      of: name,
      ratio: "state whole / in shares",
      value: ratio(replicated, sharded),
      ...(parameters >= 1e7 ? { target: { atLeast: 1 } } : {}),
    },
  ];
  if (peers.length === 0) return rows;
  const [ddp, zero] = ["DistributedDataParallel", "ZeroRedundancyOptimizer"].map((side) => all(peers, side)) as [
    number[][],
    number[][],
  ];
  const isAsked = tensors === 1;
  rows.push(
    {
      of: name,
      ratio: "DistributedDataParallel / state whole",
      value: ratio(ddp, replicated),
      ...(isAsked ? { target: { atLeast: 4 } } : {}),
      note: note(ddp),
    },
    {
      of: name,
      ratio: "ZeroRedundancyOptimizer / in shares",
      value: ratio(zero, sharded),
      target: { atLeast: isAsked ? 5 : 10 },
      note: note(zero),
    },
  );
  return rows;
};

/** The same program without mpirun. */
const meshOfOne = async (): Promise<Row[]> => {
  const one = await createMesh([["batch", -1]]);
  const rows: Row[] = [];
  for (const model of MODELS.slice(0, 3)) {
    const [without, within] = [build(model), build(model, { mesh: one })];
    const sides = [inProcess("no mesh", without.step), inProcess("a mesh of one", within.step)];
    const measurement = await interleave(sides, { seconds: 2, mostRounds: 60 });
    rows.push({
      of: nameOf(model),
      ratio: "a mesh of one / no mesh",
      value: ratioOf(measurement, "a mesh of one", "no mesh"),
      target: { atMost: 1.03 },
    });
    without.optimizer.dispose();
    within.optimizer.dispose();
  }
  return rows;
};

const ours = (): Promise<Turn> => {
  const ranks = fileURLToPath(new URL(`sides/mesh-ranks${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url));
  const options = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", `${RANKS}`];
  return answerOf("mpirun", [...options, process.execPath, ...process.execArgv, ranks, `${SECONDS}`]);
};

/** In words why there is none. */
const pytorch = async (): Promise<Turn | string> => {
  const script = fileURLToPath(new URL("mesh.py", import.meta.url));
  const models = MODELS.map(({ tensors, size }) => `${nameOf({ tensors, size })}=${tensors}x${size}`);
  try {
    return await answerOf(process.env.PYTHON ?? "python3", [script, `${SECONDS}`, ...models]);
  } catch (error) {
    return `PyTorch: left out (${(error as Error).message.trim().split("\n").at(-1)}).`;
  }
};

/** The last line that a program prints. */
const answerOf = (program: string, options: readonly string[]): Promise<Turn> =>
  new Promise((resolve, reject) =>
    execFile(program, options, { maxBuffer: 2 ** 26 }, (error, printed, complaints) =>
      error
        ? reject(new Error(`${complaints || error.message}`))
        : resolve(JSON.parse(printed.trim().split("\n").at(-1)!) as Turn),
    ),
  );
