/** Exports that are not as Python wrote them. */

import { readFileSync } from "node:fs";
import { strFromU8, strToU8, unzipSync, type Zippable, zipSync } from "fflate";
import { FOLDER } from "./adamax-export-training.js";

type Header = Record<string, { dtype: string; shape: number[] }>;
type About = { class: string; param_groups: Record<string, unknown>[] };
/** A safetensors export, its header and what it says about the optimizer edited; `more` stands in its metadata too. */
export const edited = (edit: (header: Header, about: About) => void, more: Record<string, string> = {}): Uint8Array => {
  const bytes = new Uint8Array(readFileSync(`${FOLDER}/torch.safetensors`));
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const about = JSON.parse(__metadata__.optimizer);
  edit(header, about);
  const text = new TextEncoder().encode(
    JSON.stringify({ __metadata__: { ...more, optimizer: JSON.stringify(about) }, ...header }),
  );
  const out = new Uint8Array(8 + text.length + bytes.length - 8 - length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(bytes.subarray(8 + length), 8 + text.length);
  return out;
};
export const renamed = (from: string, to: string) =>
  edited((header) => {
    header[to] = header[from]!;
    delete header[from];
  });

/** An .npz export, its entries edited. */
export const rezipped = (edit: (files: Record<string, Uint8Array>) => void, level: 0 | 1 = 0): Uint8Array => {
  const files = unzipSync(new Uint8Array(readFileSync(`${FOLDER}/optax.npz`)));
  edit(files);
  return zipSync(files as Zippable, { level });
};
export const npyHeader = (edit: (header: string) => string) =>
  rezipped((files) => {
    const name = "mu/first/bias.npy";
    const bytes = files[name]!;
    const begin = 10 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(8, true);
    const header = strToU8(edit(strFromU8(bytes.subarray(10, begin))));
    const out = new Uint8Array(10 + header.length + bytes.length - begin);
    out.set(bytes.subarray(0, 10));
    new DataView(out.buffer).setUint16(8, header.length, true);
    out.set(header, 10);
    out.set(bytes.subarray(begin), 10 + header.length);
    files[name] = out;
  });
