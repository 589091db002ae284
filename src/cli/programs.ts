/** `adamax bench` and `adamax demo`: the repository's benchmark and speech example, built beside the library. */

import { join } from "node:path";
import { refuseExisting, refuseOthers } from "./files.js";
import { UsageError } from "./usage.js";

interface BenchProgram {
  readonly QUESTIONS: Readonly<Record<string, unknown>>;
  bench(options: { questions: readonly string[]; out: string; targets: boolean }): Promise<void>;
}

interface DemoProgram {
  demo(options: { quick: boolean; out: string; recordings: { folder: string } | null }): Promise<void>;
}

/** They stand outside of src, so their place is known in dist only. */
const load = <Program>(path: string) => import(new URL(path, import.meta.url).href) as Promise<Program>;

interface ProgramOptions {
  readonly out?: string;
  readonly force?: boolean;
}

/** @throws UsageError for a question that there is not. */
export const runBench = async (
  questions: readonly string[],
  { out = "adamax-bench", force = false, targets = false }: ProgramOptions & { targets?: boolean },
): Promise<number> => {
  const { QUESTIONS, bench } = await load<BenchProgram>("../bench/bench.js");
  const known = Object.keys(QUESTIONS);
  const unknown = questions.filter((question) => !known.includes(question));
  if (unknown.length > 0) throw new UsageError(`There is no question ${unknown.join(", ")}. Ask any of: ${known.join(", ")}.`);
  await refuseOthers(out, (name) => name === "index.html" || known.some((question) => name === `${question}.json`));
  for (const question of questions) await refuseExisting(join(out, `${question}.json`), force);
  await bench({ questions, out, targets });
  return 0;
};

const PACKAGES = ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm", "fft.js"];

export const runDemo = async ({
  quick = false,
  out = "adamax-demo",
  force = false,
  recordings,
}: ProgramOptions & { quick?: boolean; recordings?: string }): Promise<number> => {
  const missing = PACKAGES.filter((name) => !isInstalled(name));
  if (missing.length > 0)
    throw new Error(
      `The example trains with TensorFlow.js, and needs packages that are not here. Missing: ${missing.join(", ")}. ` +
        `Run it with them: npx ${["adamax", ...PACKAGES].map((name) => `-p ${name}`).join(" ")} adamax demo`,
    );
  await refuseOthers(out, (name) => /^(report\.html|.*\.wav)$/.test(name));
  await refuseExisting(join(out, "report.html"), force);
  const { demo } = await load<DemoProgram>("../examples/speech/demo.js");
  await demo({ quick, out, recordings: recordings === undefined ? null : { folder: recordings } });
  return 0;
};

const isInstalled = (name: string): boolean => {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
};
