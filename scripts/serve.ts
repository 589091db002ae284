/** Serves a folder as a good host does: compressed, with the headers that isolate its pages from other origins, so that they have threads. */

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { createGzip } from "node:zlib";

export const ISOLATION = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".wav": "audio/wav",
};
const COMPRESSED = new Set([".html", ".js", ".mjs", ".css", ".json", ".svg", ".wasm"]);

export interface Served {
  /** With a slash at the end. */
  readonly url: string;
  close(): void;
}

interface ServeOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** 0: any that is free. */
  readonly port?: number;
}

/** What is not there gets 404, with the folder's 404.html if it has one. */
export const serve = async (folder: string, { headers = ISOLATION, port = 0 }: ServeOptions = {}): Promise<Served> => {
  const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://host");
    // `join` leaves no way out of the folder.
    const asked = join(folder, join("/", decodeURIComponent(pathname)), pathname.endsWith("/") ? "index.html" : "");
    const isThere = isFile(asked);
    const path = isThere ? asked : join(folder, "404.html");
    const extension = extname(path);
    const compressed = COMPRESSED.has(extension) && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    response.writeHead(isThere ? 200 : 404, {
      "content-type": TYPES[extension] ?? "application/octet-stream",
      "cache-control": pathname.startsWith("/assets/") ? "max-age=31536000, immutable" : "no-cache", // named by their content
      ...headers,
      ...(compressed ? { "content-encoding": "gzip" } : {}),
    });
    if (!isFile(path)) {
      response.end();
      return;
    }
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
