/** A folder of checkpoints that keeps the newest and the best. */

import type { OnProgress } from "../backend.js";
import { CheckpointError, OptionError } from "../errors.js";
import { checkKinds, integerFrom, type Kind, oneOf, optional, text } from "../kinds.js";
import { together } from "../resuming/together.js";
import { readHeader } from "./format/safetensors.js";
import { assertSameCheckpoint, checkWhole, LOADING, type Loaded, loadWhole } from "./load.js";
import { type AsNewOptimizer, checkLoadOptions, type IntoOptimizer, type LoadOptions } from "./load-options.js";
import { assertSame, ranksOf } from "./on-ranks.js";
import { checkSaveOptions, type SaveOptions, saveCheckpoint } from "./save.js";
import { type AnyOptimizer, type Metrics, readDescription } from "./state.js";
import { type BrowserFolder, type Folder, folderOf } from "./storage/folder.js";
import { openSource, type Source, UnreadError } from "./storage/source.js";

/** How many checkpoints a folder keeps, and which. */
export interface ManagerOptions {
  /** How many of the newest are kept. An integer, 1 or more; default 3. */
  keep?: number;
  /** The metric whose best checkpoint is kept as well, however old: a name in `metrics`. Default null: none. */
  best?: string | null;
  /** Whether less or more of it is better. Default "min". */
  mode?: "min" | "max";
  /** Begins the names of the files. Default "checkpoint". */
  prefix?: string;
}

/** A checkpoint of the folder whose header can be read. */
export interface KeptCheckpoint {
  readonly name: string;
  /** Counts the savings of a folder; the newest has the highest. */
  readonly number: number;
  /** Updates made by its optimizer. */
  readonly iterations: number;
  readonly metrics: Metrics;
  readonly bytes: number;
}

/** What was loaded, and from where. */
export interface LoadedFromFolder<T> extends Loaded<T> {
  readonly name: string;
  /** Newer ones that are damaged, and how. */
  readonly skipped: readonly { readonly name: string; readonly error: CheckpointError }[];
}

/** A name that a manager gives, and what could be learned of it. */
interface Seen {
  readonly name: string;
  readonly number: number;
  /** null: its header cannot be read, or is not that of a checkpoint of this version. */
  readonly kept: KeptCheckpoint | null;
  /** Whether it was read, and is no whole safetensors file. */
  readonly isDamaged: boolean;
  /** Why it could not be read, where that says nothing about the file. */
  readonly unread: UnreadError | null;
}

const SUFFIX = ".safetensors";
/** Of the number in a name. */
const MOST_DIGITS = 15;

/** Saves under new names, deletes what need not be kept, and finds the newest that is whole. One manager writes a folder at a time. */
export class CheckpointManager {
  readonly #folder: Folder;
  readonly #settings: {
    readonly keep: number;
    readonly best: string | null;
    readonly mode: "min" | "max";
    readonly prefix: string;
  };
  #hasWarned = false;

  /** `folder` is a path (Node; made when a training begins or the first checkpoint is saved) or a folder of OPFS.
   *  @throws OptionError for an option that is unknown or out of range. */
  constructor(folder: string | URL | BrowserFolder, options: ManagerOptions = {}) {
    this.#folder = folderOf(folder);
    this.#settings = checkKinds<ManagerOptions>("CheckpointManager", options, {
      keep: optional(integerFrom(1), 3),
      best: optional(text, null),
      mode: optional(oneOf("min", "max"), "min"),
      prefix: optional(
        { wanted: "letters, digits, - and _", holds: (value) => /^[\w-]+$/.test(value as string) } as Kind<string>,
        "checkpoint",
      ),
    });
    if (options.mode && this.#settings.best === null)
      throw new OptionError("mode says which is the best, and no best is kept", `mode=${options.mode}`, "Name a metric: best.");
  }

  /** @internal Who takes a manager for a callback calls this first.
   *  @throws OptionError */
  onTrainBegin(): never {
    throw new OptionError(
      "A CheckpointManager is no callback",
      "one in a list of callbacks",
      "Pass checkpoints(manager) of adamax/tfjs to model.fit, or fit({ checkpoints: manager }) of adamax.",
    );
  }

  /** Makes the folder, for checkpoints with these metrics: so a training learns before it begins what would keep it from saving.
   *  @throws CheckpointError for a folder that cannot be made or written to; OptionError when the metric of `best` is missing. */
  async prepare(metrics: readonly string[]): Promise<void> {
    this.#assertBest(metrics);
    await this.#folder.prepare();
  }

  #assertBest(metrics: readonly string[]): void {
    const { best } = this.#settings;
    if (best !== null && !metrics.includes(best))
      throw new OptionError(
        `A manager that keeps the best by ${best} needs it with each checkpoint`,
        `metrics: ${metrics.join(", ") || "none"}`,
        `Pass metrics: { ${best} }.`,
      );
  }

  /** Saves a new checkpoint and then deletes those that need not be kept; what cannot be deleted stays, with one warning. Returns its name.
   *  @throws CheckpointError when it cannot be written; nothing is deleted then. OptionError when the metric of `best` is missing. */
  async save(options: SaveOptions): Promise<string> {
    const ranks = ranksOf(options);
    const next = async () => {
      checkSaveOptions(options);
      this.#assertBest(Object.keys(options.metrics ?? {}));
      return this.#next(await this.#files());
    };
    // On a mesh the first rank says it: it alone writes, and may be done before another one looks.
    const number = ranks ? (await ranks.meet("a folder of checkpoints", 1, async () => [await next()]))[0]![0]! : await next();
    const name = `${this.#settings.prefix}-${`${number}`.padStart(6, "0")}${SUFFIX}`;
    const target = await together(ranks, "a folder of checkpoints", () => this.#folder.target(name));
    await saveCheckpoint(target, options).catch(async (error) => {
      if (!ranks?.rank) await this.#folder.abandon(name).catch(() => {});
      throw error;
    });
    if (!ranks?.rank) await this.#prune().catch((error) => this.#warnOf(error));
    return name;
  }

  /** @throws CheckpointError where no number is left: one with more digits would never be found again. */
  #next(files: readonly { readonly name: string; readonly number: number }[]): number {
    const number = (files[0]?.number ?? 0) + 1;
    if (`${number}`.length <= MOST_DIGITS) return number;
    throw new CheckpointError("A folder of checkpoints has no number left", files[0]!.name, "Rename or remove that one.");
  }

  /** The checkpoints whose header can be read, newest first. Damaged ones, and files of another version, are left out.
   *  @throws CheckpointError when the folder or one of them cannot be read for a reason of the machine: too many open files, no permission. */
  async list(): Promise<KeptCheckpoint[]> {
    const seen = await this.#look();
    for (const { unread } of seen) if (unread && !unread.isAbsent) throw unread;
    return seen.flatMap(({ kept }) => kept ?? []);
  }

  /** What there is, newest first. One after the other: with thousands of them open at once, a process may open no more. */
  async #look(): Promise<Seen[]> {
    const seen: Seen[] = [];
    for (const { name, number } of await this.#files()) seen.push(await this.#see(name, number));
    return seen;
  }

  async #see(name: string, number: number): Promise<Seen> {
    const seen = { name, number, kept: null, isDamaged: false, unread: null };
    let isSafetensors = false;
    try {
      const source = await openSource(await this.#folder.source(name));
      try {
        const header = await readHeader(source);
        isSafetensors = true;
        const { optimizer, metrics } = readDescription(header, source);
        return { ...seen, kept: { name, number, iterations: optimizer.iterations, metrics, bytes: source.size } };
      } finally {
        await source.close();
      }
    } catch (error) {
      if (error instanceof UnreadError) return { ...seen, unread: error };
      if (error instanceof CheckpointError) return { ...seen, isDamaged: !isSafetensors };
      throw error;
    }
  }

  /** Loads the newest checkpoint that is whole. null when the folder has none at all.
   *  @throws CheckpointError when it does not fit what it is loaded into, when there are checkpoints and all are damaged, or when one cannot be
   *  read for a reason of the machine. */
  loadNewest<T extends AnyOptimizer>(options: IntoOptimizer<T>): Promise<LoadedFromFolder<T> | null>;
  loadNewest<T extends AnyOptimizer>(options: AsNewOptimizer<T>): Promise<LoadedFromFolder<T> | null>;
  async loadNewest<T extends AnyOptimizer>(options: LoadOptions<T>): Promise<LoadedFromFolder<T> | null> {
    return this.#loadFirst(async () => (await this.#files()).map(({ name }) => name), options);
  }

  /** Loads the best checkpoint that is whole, by the metric that the manager was made with. null when the folder has none.
   *  @throws OptionError for a manager without a metric; CheckpointError as loadNewest. */
  loadBest<T extends AnyOptimizer>(options: IntoOptimizer<T>): Promise<LoadedFromFolder<T> | null>;
  loadBest<T extends AnyOptimizer>(options: AsNewOptimizer<T>): Promise<LoadedFromFolder<T> | null>;
  async loadBest<T extends AnyOptimizer>(options: LoadOptions<T>): Promise<LoadedFromFolder<T> | null> {
    return this.#loadFirst(async () => {
      if (this.#settings.best === null)
        throw new OptionError(
          "This manager has no metric to choose by",
          "best=null",
          'Make it with best: "valLoss", or another metric.',
        );
      return this.#byMetric(await this.list()).map(({ name }) => name);
    }, options);
  }

  async #loadFirst<T extends AnyOptimizer>(
    names: () => Promise<readonly string[]>,
    options: LoadOptions<T>,
  ): Promise<LoadedFromFolder<T> | null> {
    const ranks = ranksOf(options as AsNewOptimizer<T>);
    let open: Source | undefined;
    let skipped: LoadedFromFolder<T>["skipped"] = [];
    try {
      const { checked, whole, name } = await together(ranks, LOADING, async () => {
        const checked = checkLoadOptions(options);
        const found = await this.#findWhole(await names(), checked.onProgress);
        open = found.whole?.source;
        skipped = found.skipped;
        return { checked, ...found };
      });
      await assertSame(ranks, [whole ? 1 : 0], "find a checkpoint, or none", "Give all one folder, which all machines share.");
      if (whole) {
        await assertSameCheckpoint(ranks, whole);
        return { ...(await loadWhole(ranks, whole, checked)), name, skipped };
      }
    } finally {
      await open?.close();
    }
    if (skipped.length === 0) return null;
    throw new CheckpointError(
      "Every checkpoint of the folder is damaged",
      skipped.map(({ name, error }) => `${name}: ${error.message}`).join("; "),
      "Use a copy of the folder.",
    );
  }

  /** The first that is whole, open. */
  async #findWhole(names: readonly string[], onProgress: OnProgress | undefined) {
    const skipped: { name: string; error: CheckpointError }[] = [];
    for (const name of names) {
      const source = await this.#open(name);
      if (!source) continue;
      try {
        return { whole: await checkWhole(source, onProgress), name, skipped };
      } catch (error) {
        await source.close();
        if (!(error instanceof CheckpointError) || error instanceof UnreadError) throw error;
        skipped.push({ name, error });
      }
    }
    return { whole: null, name: "", skipped };
  }

  /** null: there is no file any more, or it never was one. */
  async #open(name: string): Promise<Source | null> {
    try {
      return await openSource(await this.#folder.source(name));
    } catch (error) {
      if (error instanceof UnreadError && error.isAbsent) return null;
      throw error;
    }
  }

  /** Names that this manager gives, newest first; also of what is no file. */
  async #files(): Promise<{ name: string; number: number }[]> {
    const pattern = new RegExp(`^${this.#settings.prefix}-(\\d{6,${MOST_DIGITS}})\\${SUFFIX}$`);
    const matches = (await this.#folder.names()).map((name) => pattern.exec(name)).filter((match) => match !== null);
    return matches.map(([name, digits]) => ({ name, number: Number(digits) })).sort((a, b) => b.number - a.number);
  }

  /** Best first; among equals the newest. NaN is left out. */
  #byMetric(list: readonly KeptCheckpoint[]): KeptCheckpoint[] {
    const { best, mode } = this.#settings;
    const worth = ({ metrics }: KeptCheckpoint) => (mode === "min" ? 1 : -1) * (metrics[best!] ?? NaN);
    return list.filter((one) => !Number.isNaN(worth(one))).sort((a, b) => worth(a) - worth(b) || b.number - a.number);
  }

  /** Deletes what is older than the newest `keep` sound ones, and not the best. What could not be read stays: it may be the best. */
  async #prune(): Promise<void> {
    const seen = await this.#look();
    const list = seen.flatMap(({ kept }) => kept ?? []);
    const oldest = list[Math.min(list.length, this.#settings.keep) - 1]?.number ?? 0;
    const best = this.#settings.best === null ? undefined : this.#byMetric(list)[0];
    for (const { name, number, kept, isDamaged } of seen)
      if ((kept || isDamaged) && number < oldest && name !== best?.name) await this.#folder.remove(name);
  }

  /** The new checkpoint is there: a training need not end because an old one cannot be deleted. */
  #warnOf(error: unknown): void {
    if (!this.#hasWarned) console.warn(`adamax: old checkpoints are not deleted. ${(error as Error).message}`);
    this.#hasWarned = true;
  }

  /** As of Variable. */
  get [Symbol.toStringTag](): string {
    return "CheckpointManager";
  }
}
