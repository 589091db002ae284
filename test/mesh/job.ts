/** Starts mpirun on a program of test/mesh/programs, and says what became of its ranks. */

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";
import type { MpiName } from "../../src/mesh/mpi-abi.js";

export interface Outcome {
  /** Status of mpirun, or of the program that was started without it. */
  readonly code: number;
  readonly complained: string;
  /** What the ranks reported, by rank; null for one that did not. */
  readonly reports: unknown[];
  /** Processes of the job that are still there two seconds after it has ended, at most. */
  readonly orphans: number[];
  /** When mpirun ended (performance.now()). */
  readonly endedAt: number;
}

export interface JobOptions {
  readonly mpi?: MpiName;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after which mpirun is killed: the ranks have a deadline of their own. Default 90,000. */
  readonly patience?: number;
  /** Called once the job has been started, with what finds its ranks. */
  readonly whileRunning?: (ranks: () => RankProcess[]) => void;
}

/** A rank that runs. */
export interface RankProcess {
  readonly rank: number;
  readonly pid: number;
}

const LAUNCHERS: Readonly<Record<MpiName, { commands: readonly string[]; options: readonly string[]; package: string }>> = {
  openmpi: {
    commands: ["mpirun.openmpi", "mpirun"],
    options: ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
    package: "openmpi-bin",
  },
  mpich: { commands: ["mpirun.mpich", "mpiexec.hydra"], options: [], package: "mpich" },
};

/** @throws Error that says how to get one. */
const mpirun = (mpi: MpiName): readonly string[] => {
  const { commands, options, package: name } = LAUNCHERS[mpi];
  const folders = (process.env.PATH ?? "").split(":");
  const found = commands.find((command) => folders.some((folder) => existsSync(join(folder, command))));
  if (found) return [found, ...options];
  throw new Error(
    `These tests start ranks by ${commands[0]}, which is not here. Run scripts/setup.sh as root (Debian: it calls apt-get install ${name}).`,
  );
};

const AS_PROGRAM = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "es2022",
  external: ["koffi", "@tensorflow/*"],
  ignoreAnnotations: true, // what is imported for its effect has one
  logLevel: "error",
} as const satisfies BuildOptions;

/** Programs in one file each, so that they start fast, in a folder from which koffi is found. */
export class Programs {
  readonly #folder = mkdtempSync(join(tmpdir(), "adamax-mesh-"));

  static async build(): Promise<Programs> {
    const programs = new Programs();
    const sources = fileURLToPath(new URL("programs", import.meta.url));
    const entryPoints = readdirSync(sources).map((name) => join(sources, name));
    await build({ ...AS_PROGRAM, entryPoints, outdir: programs.#folder, outExtension: { ".js": ".mjs" } });
    // Where the wasm backend looks for the script of its threads: beside it.
    const worker = fileURLToPath(new URL("../../src/backends/wasm/worker.ts", import.meta.url));
    const outfile = join(programs.#folder, "worker.js");
    await build({ entryPoints: [worker], bundle: true, format: "esm", platform: "node", outfile });
    writeFileSync(join(programs.#folder, "package.json"), '{ "type": "module" }');
    symlinkSync(resolve("node_modules"), join(programs.#folder, "node_modules"));
    return programs;
  }

  /** One more: `contents` as a module of this folder, in which other modules stand for some. */
  async add(name: string, contents: string, alias: Readonly<Record<string, string>>): Promise<void> {
    const stdin = { contents, resolveDir: fileURLToPath(new URL(".", import.meta.url)), loader: "ts" } as const;
    const banner = {
      js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);',
    };
    await build({ ...AS_PROGRAM, stdin, alias, banner, outfile: join(this.#folder, `${name}.mjs`) });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** So many ranks of a program, by mpirun. */
  run(name: string, size: number, { mpi = "openmpi", ...options }: JobOptions = {}): Promise<Outcome> {
    return this.#start([...mpirun(mpi), "-n", `${size}`, process.execPath], name, size, options);
  }

  /** So many ranks of a program, by a launcher of one's own. */
  runBy(launcher: readonly string[], name: string, size: number, options: JobOptions = {}): Promise<Outcome> {
    return this.#start([...launcher, process.execPath], name, size, options);
  }

  /** A program by itself. */
  runAlone(name: string, options: JobOptions = {}): Promise<Outcome> {
    return this.#start([process.execPath], name, 1, options);
  }

  async #start(
    command: readonly string[],
    name: string,
    size: number,
    { args = [], env = {}, patience = 90_000, whileRunning }: JobOptions,
  ): Promise<Outcome> {
    const job = randomUUID();
    const reports = mkdtempSync(join(this.#folder, "reports-"));
    const [launcher, ...rest] = [...command, "--expose-gc", join(this.#folder, `${name}.mjs`), ...args];
    const started = spawn(launcher!, rest, {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true, // whatever it sends to its process group shall not reach the tests
      env: { ...process.env, ADAMAX_JOB: job, ADAMAX_REPORTS: reports, ...env },
    });
    let complained = "";
    started.stderr.setEncoding("utf8").on("data", (text: string) => {
      complained += text;
    });
    const closed = new Promise((resolve) => started.on("close", resolve));
    const timer = setTimeout(() => started.kill(), patience);
    whileRunning?.(() => ranksOf(job));
    const code = await new Promise<number>((resolve, reject) => {
      started.on("error", reject);
      started.on("exit", (code) => resolve(code ?? -1));
    });
    const endedAt = performance.now();
    clearTimeout(timer);
    await Promise.race([closed, sleep(2000)]); // a process that is left holds the streams open
    const orphans = await processesOf(job);
    const files = Array.from({ length: size }, (_, rank) => join(reports, `${rank}.json`));
    return {
      code,
      complained,
      reports: files.map((file) => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null)),
      orphans,
      endedAt,
    };
  }
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Processes that were started with this variable and do not end within two seconds. */
const processesOf = async (job: string): Promise<number[]> => {
  for (let waited = 0; ; waited += 100) {
    const found = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(`ADAMAX_JOB=${job}`));
    if (found.length === 0 || waited > 2000) return found.map(Number);
    await sleep(100);
  }
};

const ranksOf = (job: string): RankProcess[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const environment = environmentOf(name);
      const [, rank] = /(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)/.exec(environment) ?? [];
      return environment.includes(`ADAMAX_JOB=${job}`) && rank !== undefined ? [{ rank: Number(rank), pid: Number(name) }] : [];
    });

const environmentOf = (process: string): string => {
  try {
    return readFileSync(`/proc/${process}/environ`, "latin1");
  } catch {
    return ""; // it has ended
  }
};
