import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository, found from this file: it runs from lab/src under vitest and from lab/dist/src when built. */
export const repository: string = (() => {
  for (let dir = dirname(fileURLToPath(import.meta.url)); dir !== '/'; dir = dirname(dir)) {
    try {
      if ((JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { name?: string }).name === 'ringfence')
        return dir;
    } catch {
      // No package.json here, or another one: look further up.
    }
  }
  throw new Error('Cannot find the repository: no package.json named ringfence above this file');
})();

/** Everything a lab makes carries this prefix and the lab's id. */
export const prefix = 'rflab-';

/** Where labs keep their files. Not a tmpfs: Docker's overlay storage lives here. */
export const labsRoot = '/var/tmp';

/** Where bpffs is mounted. */
export const bpffs = '/sys/fs/bpf';
