/** For tests that say `using` in an engine that does not know it yet: what TypeScript and esbuild make of it looks for this. */

(Symbol as { dispose?: symbol }).dispose ??= Symbol.for("Symbol.dispose");

export {};
