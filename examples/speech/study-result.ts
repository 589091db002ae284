import { readFileSync } from "node:fs";

/** Mean and standard deviation over the seeds, in dB. */
export interface Measured {
  readonly mean: number;
  readonly spread: number;
}

export interface RateResult {
  readonly learningRate: number;
  /** SI-SDR gained on validation recordings: what the learning rate is chosen by. */
  readonly validation: Measured;
  /** SI-SDR gained on test recordings. */
  readonly test: Measured;
}

export interface ContenderResult {
  readonly id: string;
  readonly label: string;
  /** The learning rate with the best validation mean. */
  readonly best: RateResult;
  readonly rates: readonly RateResult[];
  /** SI-SDR gained on test recordings at the best learning rate, seed by seed. */
  readonly bySeed: readonly number[];
  /** Mean loss on the way at the best learning rate. */
  readonly loss: number;
}

/** What `npm run study` found. */
export interface Study {
  readonly steps: number;
  readonly seeds: readonly number[];
  readonly contenders: readonly ContenderResult[];
}

export const studyPath = new URL("study.json", import.meta.url);

export const readStudy = (): Study => JSON.parse(readFileSync(studyPath, "utf8")) as Study;

export function resultOf(study: Study, id: string): ContenderResult {
  const result = study.contenders.find((contender) => contender.id === id);
  if (!result) throw new Error(`study.json knows no ${id}. Run npm run study, which writes it.`);
  return result;
}
