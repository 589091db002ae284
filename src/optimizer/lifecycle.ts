/** What may be done with an optimizer now. */

import { BackendError, OptionError } from "../errors.js";

export class Lifecycle {
  disposed = false;
  /** The variables hold their averages, and the averages the values. */
  swapped = false;
  /** A step broke off: variables and state are neither old nor new. */
  invalid = false;

  assertUsable(): void {
    if (this.disposed)
      throw new BackendError(
        "This optimizer was disposed, and its state is gone",
        "a call after dispose()",
        "Make a new optimizer; the variables keep their values.",
      );
  }

  /** Usable, and every variable holds its own value. */
  assertNotSwapped(): void {
    this.assertUsable();
    if (this.swapped)
      throw new OptionError(
        "The variables hold their averages",
        "a call between two of swapAverages",
        "Call swapAverages again first.",
      );
  }

  /** Usable, not swapped, and no step broke off. */
  assertValid(): void {
    this.assertNotSwapped();
    if (this.invalid)
      throw new BackendError(
        "Variables and state are neither old nor new",
        "a call after a step that broke off",
        "Load both again (loadOwnVariables) first.",
      );
  }
}
