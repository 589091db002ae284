import { readFileSync, writeFileSync } from "node:fs";
import { decodeWav, encodeWav, type Sound } from "./wav.ts";

export const readWav = (path: string): Sound => decodeWav(readFileSync(path), path);

export const writeWav = (path: string, sound: Sound): void => writeFileSync(path, encodeWav(sound));
