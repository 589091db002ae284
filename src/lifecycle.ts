/** What is going on with an optimizer and its variables, and what may be done with them now. */

import { BackendError, OptionError } from "./errors.js";

/** "broken": a step or a load broke off, so that variables and state are neither old nor new. It is also what a step is until it ends. */
type State = "ready" | "swapped" | "loading" | "broken" | "disposed";

/** What somebody wants to do. Those that change something exclude each other; who reads notices that something was changed meanwhile. */
type Deed = "build" | "step" | "save" | "load" | "hold" | "swap" | "finalize" | "write";

/** What is possible besides in a state that is ready, where everything is. */
const POSSIBLE: { readonly [Possible in Deed]?: State } = {
  load: "broken",
  hold: "loading",
  swap: "swapped",
  finalize: "swapped",
};

/** What to say of a state in which something cannot be done. */
const REFUSALS: Readonly<Record<Exclude<State, "ready">, [wrong: string, received: string, remedy: string]>> = {
  disposed: ["This optimizer was disposed", "a call after dispose()", "Make a new one."],
  swapped: ["The variables hold their averages", "a call between two swaps", "Call swapAverages first."],
  loading: ["A checkpoint is being loaded", "a call meanwhile", "Await loadCheckpoint first."],
  broken: ["Variables and state are neither old nor new", "a call after ", "Load both (loadOwnVariables) first."],
};

export class Lifecycle {
  #state: State = "ready";
  /** Counts what changes values or state. */
  changes = 0;
  /** Told of each. */
  onChange: (() => void) | undefined;
  /** What the next call is told. */
  #news: Error | undefined;
  /** After what the state is broken. */
  #cause: string | undefined;

  /** @throws unless this can be done now. */
  assert(deed: Deed): void {
    const news = this.#news;
    this.#news = undefined;
    if (news) throw news;
    const state = this.#state;
    if (state === "ready" || state === POSSIBLE[deed]) return;
    const Refusal = state === "swapped" ? OptionError : BackendError;
    const [wrong, received, remedy] = REFUSALS[state];
    throw new Refusal(wrong, received + (state === "broken" ? this.#cause : ""), remedy);
  }

  get isSwapped(): boolean {
    return this.#state === "swapped";
  }

  /** Values or state are about to change, at once. Until `settle`, they are neither old nor new. */
  begin(deed: Deed): void {
    this.change(deed);
    this.#state = "broken";
    this.#cause = "a step that broke off";
  }

  /** What `begin` began goes on for a while, or has come to its end. */
  settle(state: "ready" | "swapped" | "loading" = "ready"): void {
    this.#state = state;
  }

  /** A part of the values is changed, which leaves none of them torn. */
  change(deed: Deed): void {
    this.assert(deed);
    this.#count();
  }

  #count(): void {
    this.changes++;
    this.onChange?.();
  }

  /** Something that was enqueued could not be done, and has left everything as it was. */
  report(error: Error): void {
    this.#news = error;
  }

  /** What was enqueued did not come to its end, or the load that holds the optimizer: that one writes anew what others left. */
  breakOff({ message }: Error, isLoad = false): void {
    if (this.#state === "disposed" || (this.#state === "loading" && !isLoad)) return;
    this.#state = "broken";
    this.#cause = `this: ${message}`;
  }

  /** Returns whether it was not disposed before. */
  dispose(): boolean {
    const first = this.#state !== "disposed";
    this.#state = "disposed";
    this.#count();
    return first;
  }
}
