import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Recording, recordingOf, type Split, splitOf } from "./recording.ts";
import { readWav } from "./wav-files.ts";

/** What is said, by whom, and what goes along with the sounds. */
export interface Voice {
  readonly recordings: Record<Split, Recording[]>;
  /** Files that go wherever the sounds go: whose voice it is, and under which licence. */
  readonly papers: readonly string[];
  /** The same as a sentence. */
  readonly credit: string;
}

const folder = fileURLToPath(new URL("recordings", import.meta.url));

/** Those of the repository; the package does not hold them. */
export const recordedVoice = (): Voice => ({
  recordings: loadRecordings(),
  papers: ["ATTRIBUTION.md", "LICENSE"].map((name) => join(folder, name)),
  credit:
    "Voice: Allison Smith (theivrvoice.com), recorded for Asterisk with contributions by Digium, Inc.; from asterisk-core-sounds, trimmed, and mixed with " +
    "noise here. The recordings and the sounds on this page are licensed CC-BY-SA-3.0 (creativecommons.org/licenses/by-sa/3.0/).",
});

/** Those of a folder of yours: WAV files, mono, 16 bit.
 *  @throws Error unless there are enough to train on and to test on. */
export const voiceOf = (from: string): Voice => {
  const recordings = loadRecordings(from);
  const { train, test } = recordings;
  if (train.length < 5 || test.length < 2)
    throw new Error(
      `${from}: too few recordings, or too short a list to divide. Received: ${train.length} to train on and ${test.length} to test on (which is which is decided by ` +
        "their names), where 5 and 2 are needed. Use thirty or more WAV files of a few seconds each.",
    );
  return { recordings, papers: [], credit: `Voice: the recordings in ${from}.` };
};

/** The shipped recordings in three parts, by name, each scaled to the same speech level. */
export function loadRecordings(from: string = folder): Record<Split, Recording[]> {
  const parts: Record<Split, Recording[]> = { train: [], validation: [], test: [] };
  for (const name of readdirSync(from)
    .filter((file) => file.endsWith(".wav"))
    .sort())
    parts[splitOf(name)].push(recordingOf(name, readWav(join(from, name))));
  return parts;
}
