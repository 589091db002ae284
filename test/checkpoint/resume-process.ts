/** Loads a checkpoint, goes on, and prints every bit: `resume-process.ts FILE FROM TO`. */

import { Adamax } from "adamax";
import { loadCheckpoint } from "adamax/checkpoint";
import { everything, train } from "./steps.js";

const [file = "", from, to] = process.argv.slice(2);
const { optimizer, variables } = await loadCheckpoint(file, { optimizer: Adamax });
const list = [...variables.values()];
train(optimizer, list, Number(from), Number(to));
console.log(JSON.stringify(everything(optimizer, list), (_, value) => (typeof value === "bigint" ? `${value}` : value)));
optimizer.dispose();
