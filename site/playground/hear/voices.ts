/** The recordings of the speech example, from this site. */

import { type Recording, recordingOf, type Split, splitOf } from "../../../examples/speech/recording.ts";
import { decodeWav } from "../../../examples/speech/wav.ts";
import { CHOICES } from "./protocol.ts";

const urls = import.meta.glob<string>("../../../examples/speech/recordings/*.wav", {
  query: "?url",
  import: "default",
  eager: true,
});

/** Enough to learn a voice from: more would have to be loaded first. */
const TRAINED = 40;

export interface Voices {
  readonly train: readonly Recording[];
  readonly test: readonly Recording[];
}

export const loadVoices = async (): Promise<Voices> => {
  const named = Object.entries(urls).map(([path, url]) => ({ name: path.slice(path.lastIndexOf("/") + 1), url }));
  const load = async (split: Split, count: number): Promise<Recording[]> => {
    const chosen = named.filter(({ name }) => splitOf(name) === split).slice(0, count);
    return Promise.all(
      chosen.map(async ({ name, url }) => {
        const response = await fetch(url);
        if (!response.ok) throw new Error(`${name} could not be loaded: ${response.status}. Load the page again.`);
        return recordingOf(name, decodeWav(new Uint8Array(await response.arrayBuffer()), name));
      }),
    );
  };
  return { train: await load("train", TRAINED), test: await load("test", CHOICES) };
};
