/** Trains the network in Node, and writes what it has learned as a picture: `npx tsx examples/webgpu/main.ts [file.png]`.
 *  It needs the package webgpu. Without a GPU, a software one does: VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json (Debian's chromium). */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { WebGpuBackend } from "adamax/webgpu";
import { create } from "webgpu";
import { type Colour, encodePng } from "../png.js";
import { coloursOf, Network, rightOf, SIDE } from "./network.js";

const [file = "examples/webgpu/out/spirals.png"] = process.argv.slice(2);
const backend = await WebGpuBackend.create({ gpu: create([]) });
const network = new Network(backend);
const first = await network.train(1);
const last = await network.train(600);
const picture = await network.picture();
console.log(`${backend.why}`);
console.log(
  `loss ${first.toFixed(3)} -> ${last.toFixed(3)}; ${(100 * rightOf(picture)).toFixed(1)} % of the points are on the right side`,
);

const palette: Colour[] = [];
const places = new Map<string, number>();
const pixels = new Uint8Array(SIDE * SIDE);
const colours = coloursOf(picture);
for (let i = 0; i < SIDE * SIDE; i++) {
  // Few enough for a palette.
  const colour = [...colours.subarray(4 * i, 4 * i + 3)].map((part) => part - (part % 4)) as [number, number, number];
  const key = colour.join();
  if (!places.has(key)) places.set(key, palette.push(colour) - 1);
  pixels[i] = places.get(key)!;
}
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, encodePng(SIDE, SIDE, pixels, palette));
console.log(`what it has learned: ${file}`);
network.dispose();
backend.dispose();
