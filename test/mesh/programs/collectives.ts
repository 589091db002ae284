/** Every collective once, over memory of each kind. Each rank reports what it has then. */

import { createMesh } from "adamax/mesh";
import { inOrder } from "../../../src/mesh/communicator.js";
import { gatherTexts } from "../../../src/mesh/gathering.js";
import { report } from "../report.js";

const mesh = await createMesh([["batch", -1]], { timeout: 30_000 });
const world = mesh.group(["batch"]);
const { rank, size } = world;

const KINDS = {
  ArrayBuffer: (length: number) => new Float32Array(length),
  SharedArrayBuffer: (length: number) => new Float32Array(new SharedArrayBuffer(length * 4)),
  "a part of WebAssembly memory": (length: number) => {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
    return new Float32Array(memory.buffer, 4096, length);
  },
};

/** `count` numbers that say whose they are. */
const mine = (count: number, from = 0) => Float32Array.from({ length: count }, (_, i) => 1000 * rank + from + i);
const counts = Int32Array.from({ length: size }, (_, r) => 3 * r + 1); // uneven
const total = counts.reduce((sum, count) => sum + count, 0);

const results: Record<string, unknown> = {};
for (const [kind, make] of Object.entries(KINDS)) {
  const broadcast = make(1000);
  if (rank === size - 1) broadcast.set(mine(1000));
  world.broadcast(broadcast, size - 1, kind);

  const gathered = make(total);
  const { places } = inOrder(counts);
  gathered.set(mine(counts[rank]!), places[rank]);
  world.allgather({ array: gathered, counts, places }, kind);

  // To rank s go s + 1 numbers, from the end of the array to its beginning.
  const sent = make(size * size);
  sent.set(mine(size * size));
  const sends = Int32Array.from({ length: size }, (_, s) => s + 1);
  const sendPlaces = Int32Array.from({ length: size }, (_, s) => size * (size - 1 - s));
  const received = make(size * (rank + 1));
  const receives = new Int32Array(size).fill(rank + 1);
  const arrive = world.alltoall(
    { array: sent, counts: sends, places: sendPlaces },
    { array: received, ...inOrder(receives) },
    kind,
  );
  // Another one is under way at the same time, and the lists are used again.
  const more = make(size * (rank + 1));
  const arriveMore = world.alltoall(
    { array: sent, counts: sends, places: sendPlaces },
    { array: more, ...inOrder(receives) },
    kind,
  );
  sends.fill(-1);
  sendPlaces.fill(-1);
  receives.fill(-1);
  arrive();
  arriveMore();
  results[kind] = { broadcast: [...broadcast], gathered: [...gathered], received: [...received], more: [...more] };
}

// Small arrays that nobody holds, again and again, while the garbage collector runs.
let intact = true;
for (let i = 0; i < 200; i++) {
  const numbers = Float64Array.from({ length: size }, (_, r) => (r === rank ? i + r / 8 : -1));
  world.allgather({ array: numbers, ...inOrder(new Int32Array(size).fill(2)) }, "small");
  if (i % 20 === 0) globalThis.gc?.();
  intact &&= numbers.every((number, r) => number === i + r / 8);
}

const texts = gatherTexts(world, "é".repeat(rank) + rank, "texts");
world.barrier("at the end");
report(rank, { results, intact, texts, size: mesh.size, rank: mesh.rank, ranksOnHost: mesh.ranksOnHost });
