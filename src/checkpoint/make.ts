/** Variables and an optimizer that a checkpoint describes, made anew: they are filled afterwards. */

import type { Values } from "../backend.js";
import { CheckpointError, OptionError, show } from "../errors.js";
import { Optimizer } from "../optimizer/optimizer.js";
import { ARRAYS } from "../rule/program.js";
import { Variable } from "../variable.js";
import { isFunctionRate, isNamed, refuseDifferences } from "./compare.js";
import type { AsNewOptimizer } from "./load-options.js";
import { selectionsIn } from "./selections.js";
import { type AnyOptimizer, modelOf, type WholeCheckpoint } from "./state.js";

/** @throws CheckpointError where the file's configuration makes none. */
export const makeOptimizer = <T extends AnyOptimizer>(
  { source, description }: WholeCheckpoint,
  { optimizer: Class, options = {}, customObjects, names }: AsNewOptimizer<T>,
  variables: readonly (Variable | Values)[],
): T => {
  const { className, config } = description.optimizer;
  const differences = [
    ...(className === Class.rule.name ? [] : [`class: ${className} in the file, ${Class.rule.name} was asked for`]),
    ...(isFunctionRate(config.learning_rate) && !("learningRate" in options)
      ? [
          "learning_rate: a function in the file, which cannot hold the function itself; none here. Pass options: { learningRate }",
        ]
      : []),
  ];
  refuseDifferences(source, differences);
  try {
    const { groups, excluded } = selectionsIn(description, modelOf({ trained: [] }, variables, names));
    const { groups: _, ...plain } = config; // an older file's, by patterns
    const optimizer = Optimizer.fromConfig.call(Class as never, plain, { groups, ...options }, customObjects) as T;
    optimizer.excludeFromWeightDecay({ variables: excluded });
    return optimizer;
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new CheckpointError(`No optimizer can be made from the configuration in ${source.name}. ${error.message}`);
  }
};

/** Zeros, of the names and shapes of the file. */
export const makeVariables = (
  { source, header, description }: WholeCheckpoint,
  { constraints = {}, onlyInFile = [] }: AsNewOptimizer<AnyOptimizer>,
): Variable[] => {
  const places = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  const unknown = Object.keys(constraints).filter((name) => !description.variables.some((variable) => variable.name === name));
  refuseDifferences(
    source,
    unknown.map((name) => `constraint of ${name}: no such variable in the file`),
  );
  return description.variables.flatMap(({ name }) => {
    if (isNamed(onlyInFile, name, `variables/${name}`)) return [];
    const place = places.get(`variables/${name}`);
    if (!place || !(place.dtype === "F32" || place.dtype === "F64"))
      throw new CheckpointError(
        `${source.name} contradicts itself`,
        `variable ${show(name)}, whose tensor is ${place ? place.dtype : "missing"}`,
        "Use another copy.",
      );
    const value = new ARRAYS[place.dtype === "F32" ? "float32" : "float64"](
      (place.end - place.begin) / (place.dtype === "F32" ? 4 : 8),
    );
    const constraint = Object.hasOwn(constraints, name) ? constraints[name] : undefined;
    return [new Variable(value, { shape: place.shape, name, ...(constraint ? { constraint } : {}) })];
  });
};
