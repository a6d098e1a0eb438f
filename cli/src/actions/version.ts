import { readFile } from 'node:fs/promises';
import type { Action } from '../app.js';

/** Version of this package. */
export async function ownVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** `version`: this program only, without a connection. */
export const version: Action<[], object> = async (invocation) => {
  const own = await ownVersion();
  await invocation.printer.report({ version: own, node: process.versions.node }, `ringfence ${own}\n`);
};
