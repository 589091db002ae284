/** Finding out who is missing. A rank that has waited too long asks the others where they are; those who wait, too, answer. Who does not answer is
 *  in no call: it computes, hangs, was stopped, or cannot be reached. */

import type { Handle, Mpi } from "./mpi-abi.js";
import { pause } from "./pause.js";

/** Where a rank is. */
export interface Whereabouts {
  readonly group: string;
  /** Calls of the group so far: the same call has the same number everywhere. */
  readonly calls: number;
  /** The one in which it waits, in at most 200 letters. */
  readonly call: string;
}

const QUESTION = 1;
const ANSWER = 2;
/** Of a message, in words: the rank, the length of the rest, and the rest. */
const WORDS = 256;
const HEADER = 2;
/** For answers, in milliseconds. Ranks that wait look for questions every millisecond; a busy machine takes longer. */
const PATIENCE = 500;
/** So long at least a rank answers that asks: others, whose time is over in the same moment, ask it. */
const COURTESY = 200;

export class RollCall {
  readonly #mpi: Mpi;
  /** A communicator of its own, so that its messages meet no others. */
  readonly #channel: Handle;
  readonly #rank: number;
  readonly #flag = new Int32Array(1);
  /** What was sent has to stay where it is until it has arrived. */
  readonly #sent: ArrayBufferView[] = [];

  constructor(mpi: Mpi, channel: Handle, rank: number) {
    this.#mpi = mpi;
    this.#channel = channel;
    this.#rank = rank;
  }

  /** Tells those who have asked. */
  answer(here: Whereabouts): void {
    for (let asker = this.#receive(QUESTION); asker; asker = this.#receive(QUESTION)) this.#send(asker.rank, ANSWER, here);
  }

  /** Where the ranks `others` are, in words. */
  ask(others: readonly number[], here: Whereabouts): string {
    const answers = new Map<number, Whereabouts>();
    for (const other of others) this.#send(other, QUESTION, here);
    const begin = performance.now();
    const isOver = (waited: number) => waited > PATIENCE || (answers.size === others.length && waited > COURTESY);
    while (!isOver(performance.now() - begin)) {
      this.answer(here);
      const answer = this.#receive(ANSWER);
      if (answer) answers.set(answer.rank, answer.from);
      else pause(1);
    }
    return inWords(others, answers, here);
  }

  #send(rank: number, tag: number, { group, calls, call }: Whereabouts): void {
    const message = new Int32Array(WORDS);
    const text = new Uint8Array(message.buffer, HEADER * 4);
    const { written } = new TextEncoder().encodeInto(JSON.stringify([group, calls, call]), text);
    message.set([this.#rank, written]);
    const request = new BigInt64Array(1);
    this.#sent.push(message, request);
    this.#mpi.Isend(message, WORDS, this.#mpi.wordType, rank, tag, this.#channel, request);
  }

  #receive(tag: number): { rank: number; from: Whereabouts } | null {
    const { abi, wordType, Iprobe, Recv } = this.#mpi;
    Iprobe(abi.anySource, tag, this.#channel, this.#flag, abi.ignoreStatus);
    if (this.#flag[0] === 0) return null;
    const message = new Int32Array(WORDS);
    Recv(message, WORDS, wordType, abi.anySource, tag, this.#channel, abi.ignoreStatus);
    const text = new TextDecoder().decode(new Uint8Array(message.buffer, HEADER * 4, message[1]));
    const [group, calls, call] = JSON.parse(text) as [string, number, string];
    return { rank: message[0]!, from: { group, calls, call } };
  }
}

const inWords = (others: readonly number[], answers: ReadonlyMap<number, Whereabouts>, here: Whereabouts): string => {
  const isHere = (rank: number) => {
    const { group, calls, call } = answers.get(rank)!;
    return group === here.group && calls === here.calls && call === here.call;
  };
  const silent = others.filter((rank) => !answers.has(rank));
  const elsewhere = others.filter((rank) => answers.has(rank) && !isHere(rank));
  const parts = [
    ...(silent.length > 0 ? [`nothing from ${ranks(silent)} (computing, hanging, stopped, or out of reach)`] : []),
    ...elsewhere.map((rank) => `rank ${rank} waits in ${answers.get(rank)!.call}`),
    ...(silent.length + elsewhere.length === 0 ? ["all ranks are in it, and what they send does not arrive"] : []),
  ];
  return parts.join("; ");
};

const SHOWN = 8;
const ranks = (list: readonly number[]): string =>
  `${list.length === 1 ? "rank" : "ranks"} ${list.slice(0, SHOWN).join(", ")}${list.length > SHOWN ? ` and ${list.length - SHOWN} more` : ""}`;
