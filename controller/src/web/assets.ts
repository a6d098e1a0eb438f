// The built page: read once, served from memory. A request names a file that was there at the start, or none.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  txt: 'text/plain; charset=utf-8',
};

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly gzip: Buffer | undefined;
  readonly etag: string;
  /** Its name holds a hash of its content: it never changes. */
  readonly forever: boolean;
}

/** Where `make build` puts the page. */
export function builtPage(): string {
  return fileURLToPath(new URL('../../../web/dist/page', import.meta.url));
}

/** By path, "/assets/x-1a2b3c4d.js"; undefined when no page was built there. */
export function readAssets(folder: string): ReadonlyMap<string, Asset> | undefined {
  const assets = new Map<string, Asset>();
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch {
    return undefined;
  }
  for (const name of names) {
    const file = join(folder, name);
    const type = TYPES[name.split('.').at(-1) ?? ''];
    if (type === undefined || !statSync(file).isFile()) continue;
    const body = readFileSync(file);
    const gzip = /^(text|image\/svg)/.test(type) ? gzipSync(body) : undefined;
    const path = `/${relative(folder, file).split(sep).join('/')}`;
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    assets.set(path, { type, body, gzip, etag, forever: path.startsWith('/assets/') });
  }
  return assets.has('/index.html') ? assets : undefined;
}
