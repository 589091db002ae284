/** What the tests of checkpoints share. */

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Adamax, type AdamaxOptions } from "adamax";
import { onTestFinished } from "vitest";
import { makeVariables, SHAPES, type Shapes, train } from "./steps.js";

/** An empty folder that is gone after the test. */
export const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), "adamax-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

/** Temporary files that were left behind. */
export const leftBehind = (path: string): string[] => readdirSync(path).filter((name) => name.endsWith(".saving"));

/** An optimizer that has made `steps` calls for new variables. */
export const trained = (options: AdamaxOptions = {}, steps = 5, shapes: Shapes = SHAPES) => {
  const variables = makeVariables(shapes);
  const optimizer = new Adamax(options);
  onTestFinished(() => optimizer.dispose());
  optimizer.build(variables);
  train(optimizer, variables, 0, steps);
  return { optimizer, variables };
};

/** What a promise is rejected with. */
export const rejection = async (promise: Promise<unknown>): Promise<Error> => {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("Nothing was thrown.");
};
