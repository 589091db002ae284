/** Meshes and layouts without MPI: in this process, which nobody started by mpirun. */

import { afterEach, describe, expect, test, vi } from "vitest";
import { createMesh, Layout, LayoutMap, Mesh, UNSHARDED } from "../../src/mesh/index.js";
import { launcherOf } from "../../src/mesh/launcher.js";
import { ABIS, loadMpi } from "../../src/mesh/mpi-abi.js";
import { meshOf } from "./fakes.js";

describe("createMesh", () => {
  test("without mpirun makes a mesh of one", async () => {
    const mesh = await createMesh([
      ["batch", -1],
      ["model", 1],
    ]);
    expect(mesh).toBeInstanceOf(Mesh);
    expect(mesh).toMatchObject({ dimNames: ["batch", "model"], shape: [1, 1], size: 1, rank: 0, ranksOnHost: 1 });
    mesh.dispose();
    mesh.dispose();
    expect(() => mesh.group(["batch"])).toThrow(/disposed/);
  });

  test.each([
    [[["batch", 4]], /make up the number of ranks\. Received: batch=4 \(4\) for 1 rank\. Start 4 ranks: mpirun -n 4 /],
    [[["batch", -1], ["model", 2]], /must divide the number of ranks\. Received: batch=-1, model=2 \(2\) for 1 rank\. Start a multiple of 2 ranks/], // biome-ignore format: a table
    [[["batch", -1], ["model", -1]], /size -1 only once\. Received: batch=-1, model=-1/], // biome-ignore format: a table
    [[["batch", 1], ["batch", 1]], /different names/], // biome-ignore format: a table
    [[["batch", 0]], /an integer of 1 or more, or -1\. Received: \["batch", 0\]/],
    [[["batch", 1.5]], /an integer of 1 or more/],
    [[["batch"]], /a name and a size/],
    [["batch", 1], /a name and a size.*Received: "batch"/],
    [[["", 1]], /a name and a size/],
    [[["unsharded", 1]], /cannot be called "unsharded"/],
    [[], /an array of one or more/],
    [{ batch: 1 }, /an array of one or more/],
  ] as [unknown, RegExp][])("refuses the dimensions %j", async (dimensions, message) => {
    await expect(createMesh(dimensions as never)).rejects.toThrow(message);
  });

  test.each([
    [{ timeout: 0 }, /timeout of createMesh must be a number of milliseconds above 0/],
    [{ timeout: Number.NaN }, /timeout of createMesh/],
    [{ timeOut: 5 }, /no such option.*Did you mean timeout\?/],
    [{ devices: ["CPU:0"] }, /made of processes here, not of one process' devices\. Received: devices=\["CPU:0"\]\. .*mpirun/],
    [{ numGlobalDevices: 4 }, /mpirun -n says how many/],
  ])("refuses the options %j", async (options, message) => {
    await expect(createMesh([["batch", 1]], options as never)).rejects.toThrow(message);
  });
});

describe("a mesh", () => {
  const mesh = meshOf({ batch: 2, model: 3 }, 4);

  test("places its ranks row after row", () => {
    expect(Array.from({ length: 6 }, (_, rank) => mesh.coords(rank))).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 1],
      [1, 2],
    ]);
    expect([mesh.coords(), mesh.coord("batch"), mesh.coord("model"), mesh.dimSize("model")]).toEqual([[1, 1], 1, 1, 3]);
    expect([mesh.containsDim("model"), mesh.containsDim("data")]).toEqual([true, false]);
  });

  test("says which ranks and dimensions it has", () => {
    expect(() => mesh.coords(6)).toThrow(/no such rank\. Received: 6\. Ranks go from 0 to 5/);
    expect(() => mesh.dimSize("data")).toThrow(/no such dimension\. Received: "data"\. It has "batch", "model"/);
  });
});

describe("a layout", () => {
  const mesh = meshOf({ batch: 2, model: 3 });

  test("of 7 columns over 3 ranks is uneven, and every column is somewhere", () => {
    const layout = new Layout([UNSHARDED, "model"], mesh);
    expect([0, 1, 2].map((rank) => layout.partOf([4, 7], rank)[1])).toEqual([
      [0, 2],
      [2, 4],
      [4, 7],
    ]);
    expect(layout.localShape([4, 7], 2)).toEqual([4, 3]);
    expect(layout.localShape([4, 7], 5)).toEqual([4, 3]); // another place in "batch", the same columns
    expect([layout.numShards(0), layout.numShards(1), layout.rank, layout.isFullyReplicated]).toEqual([1, 3, 2, false]);
  });

  test("takes a rank's part out of the whole, and puts it back", () => {
    const layout = new Layout([UNSHARDED, "model"], mesh);
    const whole = Float32Array.from({ length: 14 }, (_, i) => i); // two rows
    expect(layout.slice(whole, [2, 7], 1)).toEqual(Float32Array.of(2, 3, 9, 10));
    const back = new Float32Array(14).fill(-1);
    layout.unslice(Float32Array.of(5, 6, 7, 8), back, [2, 7], 1);
    expect([...back]).toEqual([-1, -1, 5, 6, -1, -1, -1, -1, -1, 7, 8, -1, -1, -1]);
  });

  test("replicated and batchSharded are those of DTensor", () => {
    expect(Layout.replicated(mesh, 2)).toEqual(new Layout([UNSHARDED, UNSHARDED], mesh));
    expect(Layout.replicated(mesh, 0).isFullyReplicated).toBe(true);
    expect(Layout.batchSharded(mesh, "batch", 3)).toEqual(new Layout(["batch", UNSHARDED, UNSHARDED], mesh));
    expect(`${Layout.batchSharded(mesh, "batch", 2)}`).toBe("layout [batch, unsharded] on mesh batch=2, model=3");
  });

  test("along a dimension of size 1 is replicated", () => {
    expect(new Layout(["batch"], meshOf({ batch: 1 })).isFullyReplicated).toBe(true);
  });

  test.each([
    [
      () => new Layout(["data"], mesh),
      /shardingSpecs must be .*Received: \["data"\]\. Dimensions of this mesh: "batch", "model"/,
    ],
    [() => new Layout(["batch", "batch"], mesh), /only for one axis/],
    [() => new Layout("batch" as never, mesh), /must be an array/],
    [() => new Layout([], {} as never), /made for a mesh.*createMesh/],
    [() => Layout.replicated(mesh, -1), /number of axes, must be an integer of 0 or more/],
    [() => Layout.batchSharded(mesh, "batch", 0), /A scalar has no axis to cut/],
    [() => new Layout(["batch"], mesh).partOf([2, 2]), /as many axes as the shape.*shape \[2,2\] for layout \[batch\]/],
    [() => new Layout(["batch"], mesh).slice(new Float32Array(3), [4]), /shape \[4\] has 4 elements/],
    [() => new Layout(["batch"], mesh).unslice(new Float32Array(4), new Float32Array(4), [4]), /shape \[2\] has 2 elements/],
  ])("refuses what cannot be (%#)", (make, message) => {
    expect(make).toThrow(message);
  });
});

describe("a LayoutMap", () => {
  const mesh = meshOf({ model: 2 });
  const [columns, rows, whole] = [
    new Layout([UNSHARDED, "model"], mesh),
    new Layout(["model"], mesh),
    Layout.replicated(mesh, 1),
  ];

  test("gives the layout of the name itself, else of the first pattern that fits from its beginning on, else null", () => {
    const map = new LayoutMap([
      [".*kernel", columns],
      ["dense.*", rows],
      ["dense/kernel", whole],
    ]);
    expect(["dense/kernel", "dense_1/kernel", "dense_1/bias", "my/dense/bias"].map((name) => map.get(name))).toEqual([
      whole,
      columns,
      rows,
      null,
    ]);
    expect([map.size, [...map].map(([pattern]) => pattern)]).toEqual([3, [".*kernel", "dense.*", "dense/kernel"]]);
    expect([map.delete("dense.*"), map.get("dense_1/bias")]).toEqual([true, null]);
  });

  test("a pattern with alternatives is tied to the beginning as a whole", () => {
    expect(new LayoutMap([["a|b", rows]]).get("xb")).toBeNull();
  });

  test("refuses what is no pattern, no layout, or there already", () => {
    const map = new LayoutMap([["a", rows]]);
    expect(() => map.set("a", columns)).toThrow(/has a layout already\. Received: "a"/);
    expect(() => map.set("(", rows)).toThrow(/text of a regular expression/);
    expect(() => map.set("b", {} as never)).toThrow(/holds layouts/);
  });
});

describe("MPI", () => {
  afterEach(() => {
    vi.doUnmock("koffi");
    vi.resetModules();
  });

  test("is asked for only where a launcher says that there are others", () => {
    expect(launcherOf({})).toBeNull();
    expect(launcherOf({ OMPI_COMM_WORLD_SIZE: "4", PMI_SIZE: "1" })).toMatchObject({ mpi: "openmpi", size: 4 });
    expect(launcherOf({ PMI_SIZE: "3", SLURM_STEP_NUM_TASKS: "8" })).toMatchObject({ mpi: "mpich", size: 3 });
    expect(launcherOf({ SLURM_STEP_NUM_TASKS: "8" })).toMatchObject({ name: "srun", size: 8 });
  });

  test.each(["openmpi", "mpich"] as const)("where %s is missing, Debian's package is named", async (name) => {
    const missing = loadMpi({ ...ABIS[name], libraries: ["libno-such-mpi.so.1"] });
    await expect(missing).rejects.toThrow(
      new RegExp(`library is not here\\. Received: .*libno-such-mpi.*apt-get install ${ABIS[name].packages}\\)`),
    );
  });

  test("where koffi is missing, it is named", async () => {
    vi.doMock("koffi", () => {
      throw new Error("Cannot find package 'koffi'");
    });
    const { loadMpi } = await import("../../src/mesh/mpi-abi.js");
    await expect(loadMpi(ABIS.openmpi)).rejects.toThrow(/through the package koffi\. Received: .*Install it: npm install koffi/);
  });
});
