/** The state of a part, in the address: a link shows what its sender saw. */

/** What an address can hold. */
export type Query = Readonly<Record<string, string>>;

export const readQuery = (): Query => Object.fromEntries(new URLSearchParams(location.search));

/** Replaces the query of the address, without a new entry in the history: dragging would make hundreds. */
export const writeQuery = (query: Query): void => {
  const text = new URLSearchParams(query).toString();
  const url = `${location.pathname}${text === "" ? "" : `?${text}`}${location.hash}`;
  if (url !== location.pathname + location.search + location.hash) history.replaceState(history.state, "", url);
};

/** The number that `text` says, in [least, most]; else `byDefault`. */
export const numberIn = (text: string | undefined, least: number, most: number, byDefault: number): number => {
  const value = Number(text === undefined || text.trim() === "" ? Number.NaN : text);
  return value >= least && value <= most ? value : byDefault;
};

/** Text of any letters, as letters that an address may hold, and back. */
export const packed = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

/** null: nothing that was packed. */
export const unpacked = (text: string): string | null => {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
};
