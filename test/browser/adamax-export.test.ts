/** Exports of PyTorch and Optax in a page, from a File. */

import { CheckpointError } from "adamax";
import { readAdamaxExport } from "adamax/checkpoint";
import { expect, test } from "vitest";

const fileOf = async (name: string) => new File([await (await fetch(`/fixtures/adamax-exports/${name}`)).arrayBuffer()], name);

test.each(["torch.safetensors", "torch.npz", "optax.npz"])("%s is read and restored", async (name) => {
  const { optimizer, variables } = (await readAdamaxExport(await fileOf(name))).restore();
  expect(optimizer.iterations).toBe(7);
  expect(variables).toHaveLength(3);
  optimizer.dispose();
});

test("a file that is cut off is a CheckpointError", async () => {
  for (const name of ["torch.safetensors", "optax.npz"])
    await expect(readAdamaxExport((await fileOf(name)).slice(0, 1000))).rejects.toThrow(CheckpointError);
});
