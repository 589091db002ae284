/** Reads the files that were dropped, and says what `adamax inspect --html` says. In a worker: the page stays alive, and no file leaves the device. */

import { readContents } from "adamax-cli/contents";
import { bodyOf } from "adamax-cli/page";

export interface InsideRequest {
  readonly files: readonly File[];
}
export type InsideAnswer =
  | { readonly kind: "read"; readonly title: string; readonly html: string }
  | { readonly kind: "failed"; readonly message: string };

const answer = async ({ files }: InsideRequest): Promise<InsideAnswer> => {
  const [first] = files;
  if (!first) return { kind: "failed", message: "No file was given. Choose one, or drop one here." };
  const given = files.length === 1 ? first : Object.fromEntries(files.map((file) => [file.name, file]));
  const title = files.length === 1 ? first.name : `${first.name} and ${files.length - 1} more`;
  try {
    return { kind: "read", title, html: bodyOf(await readContents(title, {}, given)) };
  } catch (error) {
    return { kind: "failed", message: said(error as Error, title) };
  }
};

/** The browser's own refusals name no file. */
const said = (error: Error, title: string): string =>
  error instanceof DOMException
    ? `The browser cannot read ${title}. Received: ${error.message} Is it a file, still there, and small enough for memory? The command adamax inspect reads larger ones.`
    : error.message;

self.onmessage = async ({ data }: MessageEvent<InsideRequest>) => self.postMessage(await answer(data));
