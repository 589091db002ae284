/** What an update rule is written in: expressions over a variable's elements and over scalars.
 *  Calling `add` computes nothing; it records. `program.ts` turns the record into what a backend compiles. */

import { show } from "../errors.js";

/** What every backend can do to an element. Each rounds once, to the dtype of the variable. */
export type Operation =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "max" /* NaN if either is NaN */
  | "min" /* likewise */
  | "abs"
  | "neg"
  | "sqrt"
  | "flush" /* (x, limit): +0 where |x| < limit, else x; keeps NaN */
  | "ifPositive"; /* (x, a, b): a where x > 0, else b (also where x is NaN) */

/** Scalars alone can also be raised to a power: that is done once per step, outside of the loop over elements. */
export type ScalarOperation = Operation | "pow";

/** Over which elements a norm is taken: those of its own variable, or those of every variable in the step. */
export type NormScope = "variable" | "model";

export type Recorded =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "element"; readonly buffer: string }
  | { readonly kind: "norm"; readonly inputs: readonly [Expression]; readonly scope: NormScope }
  | { readonly kind: "operation"; readonly operation: ScalarOperation; readonly inputs: readonly Expression[] };

/** What an operation takes. */
export type Operand = Expression | number;

/** A value per element, or a scalar that all elements share. Immutable. Its errors are told as those of a rule (optimizer/define-rule.ts). */
export class Expression {
  /** Whether this has a value per element (true) or is one scalar per variable and step (false). */
  readonly perElement: boolean;

  constructor(readonly recorded: Recorded) {
    this.perElement =
      recorded.kind === "element" || (recorded.kind === "operation" && recorded.inputs.some((input) => input.perElement));
  }

  /** this + other */
  add(other: Operand): Expression {
    return operation("add", this, other);
  }
  /** this - other */
  sub(other: Operand): Expression {
    return operation("sub", this, other);
  }
  /** this * other */
  mul(other: Operand): Expression {
    return operation("mul", this, other);
  }
  /** this / other */
  div(other: Operand): Expression {
    return operation("div", this, other);
  }
  /** The square root; NaN below 0. */
  sqrt(): Expression {
    return operation("sqrt", this);
  }
  /** -this */
  neg(): Expression {
    return operation("neg", this);
  }
  /** this * this */
  square(): Expression {
    return operation("mul", this, this);
  }
  /** this ** exponent, evaluated once per step.
   *  @throws TypeError for an expression over elements. */
  pow(exponent: Operand): Expression {
    const power = operation("pow", this, exponent);
    if (power.perElement) throw new TypeError("pow is for scalars only. Received: elements. Write x.mul(x) or x.sqrt()");
    return power;
  }

  /** @throws TypeError: `g > 0`, `2 * g`, `Math.sqrt(g)` and the text of an expression would need a value, and there is none yet. */
  [Symbol.toPrimitive](): never {
    throw new TypeError("An expression has no value. Received: g > 0, 2 * g or the like");
  }
}

const expression = (operand: Operand): Expression => {
  if (operand instanceof Expression) return operand;
  if (typeof operand === "number" && !Number.isNaN(operand)) return new Expression({ kind: "constant", value: operand });
  throw new TypeError(`A rule computes with expressions and numbers. Received: ${show(operand)}`);
};

const operation = (name: ScalarOperation, ...inputs: Operand[]): Expression =>
  new Expression({ kind: "operation", operation: name, inputs: inputs.map(expression) });

/** A number known when the rule is written; rounded once to the variable's dtype. */
export const constant = (value: number): Expression => expression(value);
/** A scalar that the optimizer gives anew in every step, such as "learningRate" or "step". */
export const parameter = (name: string): Expression => new Expression({ kind: "parameter", name });
/** The elements of one of a variable's arrays: "w", "g" or a slot. */
export const element = (buffer: string): Expression => new Expression({ kind: "element", buffer });

/** The magnitude; NaN stays NaN. */
export const abs = (x: Operand): Expression => operation("abs", x);
/** The largest; NaN if one is NaN. */
export const max = (a: Operand, b: Operand, ...more: Operand[]): Expression =>
  more.reduce<Expression>((x, y) => max(x, y), operation("max", a, b));
/** The smallest; NaN if one is NaN. */
export const min = (a: Operand, b: Operand, ...more: Operand[]): Expression =>
  more.reduce<Expression>((x, y) => min(x, y), operation("min", a, b));
/** `a` where x > 0, else `b` (also where x is NaN). */
export const ifPositive = (x: Operand, a: Operand, b: Operand): Expression => operation("ifPositive", x, a, b);
/** -1, 0 or 1; NaN stays NaN. */
export const sign = (x: Operand): Expression => ifPositive(x, 1, ifPositive(operation("neg", x), -1, x));
/** Zero where |x| < limit: numbers so small that arithmetic on them is slow and changes nothing. */
export const flush = (x: Expression, limit: number): Expression => operation("flush", x, limit);

const normOver = (scope: NormScope, of: Operand): Expression => {
  const recorded = expression(of);
  if (recorded.perElement) return new Expression({ kind: "norm", inputs: [recorded], scope });
  throw new TypeError("A norm is taken over elements. Received: a scalar. Write abs(x)");
};

/** L2 norm over the elements of one variable, summed in float64; what is computed from it stays float64 until it meets an element. */
export const norm = (of: Expression): Expression => normOver("variable", of);
/** L2 norm over the elements of all variables in the step. */
export const globalNorm = (of: Expression): Expression => normOver("model", of);
