/** Who runs, and by which equations: as text, and with the numbers of a step. Their rules are in engine.ts. */

/** What one step did to one coordinate. */
export interface StepNumbers {
  /** The number of the update, from 1. */
  readonly t: number;
  /** As the rule saw it: unscaled, accumulated, clipped. */
  readonly g: number;
  readonly w: number;
  readonly newW: number;
  /** Before and after, by the names of the slots. */
  readonly slots: Readonly<Record<string, number>>;
  readonly newSlots: Readonly<Record<string, number>>;
  readonly rate: number;
  readonly hyper: Readonly<Record<string, number>>;
}

/** An equation, and how it reads with numbers in it. */
export interface Equation {
  readonly says: string;
  readonly filled: (numbers: StepNumbers) => string;
}

export interface Contender {
  readonly id: string;
  readonly name: string;
  readonly equations: readonly Equation[];
}

/** Three digits that count, a minus as long as a plus, and no exponent where a reader can do without. */
export const digits = (value: number): string => {
  if (!Number.isFinite(value)) return `${value}`;
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-4 || size >= 1e5)
      ? Number(value.toPrecision(2)).toExponential()
      : `${Number(value.toPrecision(size > 1 ? 4 : 3))}`;
  return text.replaceAll("-", "−");
};
/** In parentheses where a sign would stand beside another. */
const term = (value: number): string => (value < 0 ? `(${digits(value)})` : digits(value));

const adamaxEquations: readonly Equation[] = [
  {
    says: "m ← m + (g − m) (1 − β₁)",
    filled: ({ g, slots: { momentum: m }, newSlots, hyper: { beta1 } }) =>
      `${digits(m!)} + (${digits(g)} − ${term(m!)}) · ${digits(1 - beta1!)} = ${digits(newSlots.momentum!)}`,
  },
  {
    says: "u ← max(β₂ u, |g|)",
    filled: ({ g, slots: { norm: u }, newSlots, hyper: { beta2 } }) =>
      `max(${digits(beta2! * u!)}, ${digits(Math.abs(g))}) = ${digits(newSlots.norm!)}`,
  },
  {
    says: "w ← w − α m / ((1 − β₁ᵗ) (u + ε))",
    filled: ({ t, w, newW, rate, newSlots: { momentum: m, norm: u }, hyper: { beta1 } }) =>
      `${digits(w)} − ${digits(rate)} · ${term(m!)} / (${digits(1 - beta1! ** t)} · ${digits(u!)}) = ${digits(newW)}`,
  },
];

const adamEquations: readonly Equation[] = [
  adamaxEquations[0]!,
  {
    says: "v ← v + (g² − v) (1 − β₂)",
    filled: ({ g, slots: { velocity: v }, newSlots, hyper: { beta2 } }) =>
      `${digits(v!)} + (${digits(g * g)} − ${digits(v!)}) · ${digits(1 - beta2!)} = ${digits(newSlots.velocity!)}`,
  },
  {
    says: "w ← w − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)",
    filled: ({ t, w, newW, rate, newSlots: { momentum: m, velocity: v }, hyper: { beta1, beta2 } }) =>
      `${digits(w)} − ${digits((rate * Math.sqrt(1 - beta2! ** t)) / (1 - beta1! ** t))} · ${term(m!)} / ${digits(Math.sqrt(v!))} = ${digits(newW)}`,
  },
];

const sgdEquations: readonly Equation[] = [
  {
    says: "v ← μ v − α g",
    filled: ({ g, rate, slots: { velocity: v }, newSlots, hyper: { momentum } }) =>
      `${digits(momentum!)} · ${term(v!)} − ${digits(rate)} · ${term(g)} = ${digits(newSlots.velocity!)}`,
  },
  {
    says: "w ← w + v",
    filled: ({ w, newW, newSlots: { velocity: v } }) => `${digits(w)} + ${term(v!)} = ${digits(newW)}`,
  },
];

const lionEquations: readonly Equation[] = [
  {
    says: "w ← w − α sign(β₁ m + (1 − β₁) g)",
    filled: ({ g, w, newW, rate, slots: { momentum: m }, hyper: { beta1 } }) =>
      `${digits(w)} − ${digits(rate)} · sign(${digits(beta1! * m! + (1 - beta1!) * g)}) = ${digits(newW)}`,
  },
  {
    says: "m ← β₂ m + (1 − β₂) g",
    filled: ({ g, slots: { momentum: m }, newSlots, hyper: { beta2 } }) =>
      `${digits(beta2!)} · ${term(m!)} + ${digits(1 - beta2!)} · ${term(g)} = ${digits(newSlots.momentum!)}`,
  },
];

export const CONTENDERS: readonly Contender[] = [
  { id: "adamax", name: "Adamax", equations: adamaxEquations },
  { id: "adam", name: "Adam", equations: adamEquations },
  { id: "sgd", name: "SGD", equations: sgdEquations },
  { id: "lion", name: "Lion", equations: lionEquations },
];

/** Of a rule that the visitor wrote: what it keeps, and what it did. */
export const equationsOf = (slots: readonly string[]): readonly Equation[] => [
  ...slots.map((slot) => ({
    says: `${slot} ←`,
    filled: ({ slots, newSlots }: StepNumbers) => `${digits(slots[slot]!)} → ${digits(newSlots[slot]!)}`,
  })),
  { says: "w ←", filled: ({ w, newW }) => `${digits(w)} → ${digits(newW)}` },
];
