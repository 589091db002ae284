/** Rank 1 does something that it should not; the others wait for it: `faults SCENARIO [TIMEOUT]`. */

import { createMesh } from "adamax/mesh";
import { inOrder } from "../../../src/mesh/communicator.js";
import { report } from "../report.js";

const [scenario = "", timeout = "3000"] = process.argv.slice(2);
const place = Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK);
const isFaulty = place === 1;
/** Then ranks 0 and 2 are a group of their own, and patient. */
const inGroups = scenario.endsWith("in a group");

const forever = () => {
  for (;;) Math.random();
};
const sleep = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

if (isFaulty && scenario === "hangs before the mesh") forever();
if (isFaulty && scenario === "process.exit before the mesh") process.exit(0);
const first = await createMesh([["batch", -1]], scenario.endsWith("before the mesh") ? { timeout: Number(timeout) } : {});
const mesh = await createMesh(
  [
    ["batch", -1],
    ["model", inGroups ? 2 : 1],
  ],
  { timeout: inGroups && place % 2 === 0 ? 60_000 : Number(timeout) }, // from here on: ranks do not start at one moment
);
const { rank } = mesh;
const group = mesh.group(["batch"]);
const { size } = group;

const exchange = (label: string) => {
  const array = new Float32Array(size);
  group.allgather({ array, ...inOrder(new Int32Array(size).fill(1)) }, label);
};
const faults: Record<string, () => unknown> = {
  "a loop": forever,
  "a loop in a group": forever,
  SIGSTOP: () => process.kill(process.pid, "SIGSTOP"),
  SIGKILL: () => process.kill(process.pid, "SIGKILL"),
  SIGTERM: () => {
    process.kill(process.pid, "SIGTERM");
    sleep(60_000);
  },
  "process.exit": () => process.exit(0),
  exitCode: () => {
    process.exitCode = 3;
  },
  "an exception": () => {
    throw new RangeError("the loss of rank 1");
  },
  "a rejection": () => Promise.reject(new RangeError("the loss of rank 1")),
  "a promise without end": () => new Promise(() => {}),
  "its end": () => {},
  "another call": () => group.barrier("validation of epoch 3"),
  lateness: () => {
    sleep(2000);
    exchange("gradients of step 5");
  },
};

exchange("gradients of step 4");
if (isFaulty && scenario !== "disposal") await faults[scenario]?.();
else exchange("gradients of step 5");
if (scenario === "disposal") {
  for (const each of [first, first, mesh, mesh]) each.dispose();
  report(rank, await createMesh([["batch", -1]]).catch(String));
  process.exit(0);
}
report(rank, "whole");
