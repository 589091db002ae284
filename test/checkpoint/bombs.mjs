/** A worker that makes files which claim more than they hold, or hold too much of something, and posts them by name. In a worker, because making
 *  them takes memory. */

import { readFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import * as library from "h5wasm";

await library.ready;

/** The file that `fill` fills: with a layer as Keras writes it, so that a reader goes on. */
const made = (fill) => {
  const file = new library.File("/bomb.h5", "w");
  file.create_group("layers").create_group("dense").create_group("vars");
  const vars = file.get("layers/dense/vars");
  vars.create_attribute("name", "dense");
  fill(file, vars);
  file.flush();
  file.close();
  const bytes = library.FS.readFile("/bomb.h5");
  library.FS.unlink("/bomb.h5");
  return bytes;
};
const floats = (length) => new Float32Array(length);
const packed = { compression: 1 };

const bombs = {
  "a chunk of 128 MiB for ten numbers": made((_, vars) =>
    vars.create_dataset({ name: "0", data: floats(10), shape: [10], maxshape: [null], chunks: [2 ** 25], ...packed }),
  ),
  "a chunk of 16 MiB for ten numbers": made((_, vars) =>
    vars.create_dataset({ name: "0", data: floats(10), shape: [10], maxshape: [null], chunks: [2 ** 22], ...packed }),
  ),
  "60 MB of zeros in 240 KB": made((_, vars) =>
    vars.create_dataset({ name: "0", data: floats(15e6), shape: [15e6], chunks: [1e6], ...packed }),
  ),
  "28 MB of zeros in 120 KB": made((_, vars) =>
    vars.create_dataset({ name: "0", data: floats(7e6), shape: [7e6], chunks: [1e6], ...packed }),
  ),
  "five times 28 MB of zeros": made((_, vars) => {
    for (let i = 0; i < 5; i++) vars.create_dataset({ name: `${i}`, data: floats(7e6), shape: [7e6], chunks: [1e6], ...packed });
  }),
  "4 TB that were never written": made((_, vars) => {
    vars.create_dataset({ name: "0", data: floats(10), shape: [10], maxshape: [null], chunks: [10] });
    vars.get("0").resize([2 ** 40]);
  }),
  "28 MB in chunks of one number": made((_, vars) => {
    vars.create_dataset({ name: "0", data: floats(10), shape: [10], maxshape: [null], chunks: [1] });
    vars.get("0").resize([7e6]);
  }),
  "groups that hold each other": made((file, vars) => {
    for (const name of ["a", "b", "c"]) {
      file.create_hard_link("/", name);
      vars.create_hard_link("/layers", name);
    }
  }),
  "a group inside itself": made((file) => file.create_hard_link("/", "again")),
  "links that lead nowhere, in circles, and to other files": made((file, vars) => {
    file.create_soft_link("/y", "x");
    file.create_soft_link("/x", "y");
    file.create_soft_link("/nothing", "z");
    file.create_external_link("/etc/passwd", "/", "w");
    vars.create_external_link("../../../etc/hostname", "/a", "0");
  }),
  "300 groups inside each other": made((file) => {
    let group = file;
    for (let i = 0; i < 300; i++) group = group.create_group("g");
  }),
  "4000 weights of nothing": made((_, vars) => {
    for (let i = 0; i < 4000; i++) vars.create_dataset({ name: `${i}`, data: floats(1), shape: [1] });
  }),
  "one weight under 20000 names": made((_, vars) => {
    vars.create_dataset({ name: "0", data: floats(1), shape: [1] });
    for (let i = 1; i < 20000; i++) vars.create_hard_link("/layers/dense/vars/0", `${i}`);
  }),
  "5000 attributes": made((file) => {
    for (let i = 0; i < 5000; i++) file.create_attribute(`a${i}`, i);
  }),
  "a shape of 32 axes": made((_, vars) => vars.create_dataset({ name: "0", data: floats(1), shape: Array(32).fill(1) })),
};

/** As h5repack would write it: in compressed chunks. A seed for damage. */
const inChunks = made((_, vars) => {
  const numbers = (length) => Float32Array.from({ length }, (_, i) => Math.sin(i));
  vars.create_dataset({ name: "0", data: numbers(400), shape: [20, 20], chunks: [7, 8], ...packed });
  vars.create_dataset({ name: "1", data: numbers(20), shape: [20], maxshape: [null], chunks: [8] });
});

const entries = unzipSync(readFileSync("fixtures/keras-files/keras-plain.keras"));
const zeros = (bytes) => new Uint8Array(bytes);
const padded = (bytes, length, byte) => {
  const out = zeros(length).fill(byte);
  out.set(bytes);
  return out;
};
const archive = (more) => zipSync({ ...entries, ...more }, { level: 1 });
/** The directory of `bytes` with its last entry listed `times` times: all of them are the same bytes. */
const overlapping = (bytes, times) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  const begin = view.getUint32(end + 16, true);
  let last = begin;
  for (let at = begin; at < end; at += 46 + view.getUint16(at + 28, true)) last = at;
  const out = new Uint8Array([
    ...bytes.subarray(0, end),
    ...Array(times)
      .fill([...bytes.subarray(last, end)])
      .flat(),
    ...bytes.subarray(end),
  ]);
  const count = Object.keys(entries).length + 1 + times;
  for (const place of [14, 12]) new DataView(out.buffer).setUint16(out.length - place, count, true);
  new DataView(out.buffer).setUint32(out.length - 10, out.length - 22 - begin, true);
  return out;
};
const archives = {
  "an entry of 100 MB of zeros": archive({ x: zeros(1e8) }),
  "a configuration of 100 MB of spaces": archive({ "config.json": padded(entries["config.json"], 1e8, 32) }),
  "a configuration of 30 MB of spaces": archive({ "config.json": padded(entries["config.json"], 3e7, 32) }),
  "weights with 100 MB of zeros behind them": archive({ "model.weights.h5": padded(entries["model.weights.h5"], 1e8, 0) }),
  "weights with 30 MB of zeros behind them": archive({ "model.weights.h5": padded(entries["model.weights.h5"], 3e7, 0) }),
  "a configuration of 1.4 million numbers": archive({
    "config.json": strToU8(strFromU8(entries["config.json"]).replace("{", `{"x": [${"1,".repeat(1_400_000)}1],`)),
  }),
  "a configuration of 30 MB of brackets": archive({ "config.json": strToU8("[".repeat(3e7)) }),
  "one entry of 1 MB listed 300 times": overlapping(archive({ x: zeros(1e6) }), 300),
  "weights of 60 MB of zeros in 240 KB": archive({ "model.weights.h5": bombs["60 MB of zeros in 240 KB"] }),
  "weights of 28 MB of zeros in 120 KB": archive({ "model.weights.h5": bombs["28 MB of zeros in 120 KB"] }),
};

/** A model of TensorFlow.js with `count` weights of `shape`, each with Adamax' two arrays. */
const model = (count, shape, name = (i) => `dense_${i}/kernel`, slots = true, stateName = name) => {
  const specs = Array.from({ length: count }, (_, i) => ({ name: name(i), shape, dtype: "float32" }));
  const state = specs.flatMap((spec, i) =>
    ["momentum", "norm"].map((slot) => ({ ...spec, name: `${stateName(i)}/${slot}`, group: "optimizer" })),
  );
  const weights = [...specs, { name: "iter", shape: [], dtype: "int32", group: "optimizer" }, ...(slots ? state : [])];
  const config = { class_name: "Adamax", config: { learning_rate: 0.1 } };
  const json = {
    modelTopology: {},
    trainingConfig: { optimizer_config: config },
    weightsManifest: [{ paths: ["weights.bin"], weights }],
  };
  const numbers = shape.reduce((product, size) => product * size, 1);
  return { "model.json": strToU8(JSON.stringify(json)), "weights.bin": zeros(4 + 4 * numbers * (slots ? 3 : 1) * count) };
};
/** Its file of weights named so many times. */
const repeated = (files, times) => {
  const json = JSON.parse(strFromU8(files["model.json"]));
  json.weightsManifest[0].paths = Array(times).fill("weights.bin");
  return { ...files, "model.json": strToU8(JSON.stringify(json)) };
};
/** Without the state of the last weight. */
const withoutOne = (files) => {
  const json = JSON.parse(strFromU8(files["model.json"]));
  json.weightsManifest[0].weights.splice(-2);
  return { ...files, "model.json": strToU8(JSON.stringify(json)) };
};
const models = {
  "2000 weights with their state": model(2000, [1]),
  "100000 weights in as many layers": model(100_000, [0], undefined, false),
  "100000 weights in one layer": model(100_000, [0], (i) => `dense/${i}`, false),
  "30000 weights of one name with their state": model(30_000, [0], () => "dense/kernel"),
  "8000 weights of one shape, whose state has other names": model(
    8000,
    [0],
    (i) => `${i}`,
    true,
    (i) => `other${i}`,
  ),
  "2000 layers of one shape, of which one is frozen": withoutOne(model(2000, [0], undefined, true, (i) => `other${i}`)),
  "a file of 3 MB named 1000 times": repeated(model(1, [250_000]), 1000),
  "a weight of 2 ** 60 numbers": {
    ...model(1, [1]),
    "model.json": strToU8(strFromU8(model(1, [1])["model.json"]).replaceAll("[1]", "[1073741824,1073741824]")),
  },
};

const all = Object.entries({ hdf5: bombs, archive: archives, tfjs: models });
parentPort.postMessage([
  ...all.flatMap(([kind, files]) => Object.entries(files).map(([name, file]) => ({ kind, name, file }))),
  { kind: "hdf5", name: "seed: in compressed chunks", file: inChunks },
]);
