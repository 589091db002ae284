/** Serves the built site as a good host does: compressed, and isolated from other origins, so that its pages have threads. Also what the tests open. */

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";

export const DIST = fileURLToPath(new URL("dist", import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".wav": "audio/wav",
  ".safetensors": "application/octet-stream",
};
const COMPRESSED = new Set([".html", ".js", ".css", ".json", ".svg", ".wasm"]);

export interface Served {
  /** With a slash at the end. */
  readonly url: string;
  close(): void;
}

/** `port` 0: any that is free. */
export const serve = async (port = 0): Promise<Served> => {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://site");
    const path = fileOf(decodeURIComponent(pathname));
    const extension = extname(path);
    const compressed = COMPRESSED.has(extension) && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    response.writeHead(path.endsWith("/404.html") ? 404 : 200, {
      "content-type": TYPES[extension] ?? "application/octet-stream",
      "cache-control": pathname.startsWith("/assets/") ? "max-age=31536000, immutable" : "no-cache",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
      ...(compressed ? { "content-encoding": "gzip" } : {}),
    });
    const file = createReadStream(path);
    (compressed ? file.pipe(createGzip()) : file).pipe(response);
  });
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
};

/** The file of an address; that of the page "not found" where there is none. `join` leaves no way out of the folder. */
const fileOf = (pathname: string): string => {
  const path = join(DIST, join("/", pathname), pathname.endsWith("/") ? "index.html" : "");
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? path : join(DIST, "404.html");
};

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log((await serve(Number(process.env.PORT ?? 4173))).url);
