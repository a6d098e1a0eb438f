// Debian packages without installing them: an apt of its own under the cache directory, with its own sources, lists and archives.
// The machine's apt configuration is read only for how to reach the mirror; its sources are not used and nothing of it changes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const LISTS_MAX_AGE_MS = 24 * 3600 * 1000;

export class Apt {
  readonly #root: string;
  readonly #sources: string;
  readonly #suites: readonly string[];

  /** root: directory of its own. suites: Debian suites, security ones by their full name. */
  constructor(root: string, suites: readonly string[]) {
    this.#root = root;
    this.#suites = suites;
    for (const dir of ['lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(root, dir), { recursive: true });
    this.#sources = join(root, 'sources.list');
  }

  /** Fetches the lists of packages unless they are of the last day and of the same suites. Throws when a mirror is out of reach. */
  update(): void {
    const text = this.#suites.map((suite) => `deb [signed-by=${KEYRING}] ${mirrorOf(suite)} ${suite} main\n`).join('');
    const stamp = join(this.#root, `updated-${this.#suites.join('_')}`);
    if (existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < LISTS_MAX_AGE_MS) return;
    writeFileSync(this.#sources, text);
    this.#run('apt-get', 'update', '-q');
    for (const old of readdirSync(this.#root)) if (old.startsWith('updated-')) rmSync(join(this.#root, old));
    writeFileSync(stamp, '');
  }

  /** Names of all packages that start with a prefix. */
  names(prefix: string): string[] {
    return this.#run('apt-cache', 'pkgnames', prefix).split('\n').filter(Boolean);
  }

  /** The package file's path, downloaded when it is not there yet. */
  download(name: string, suite: string): string {
    const dir = join(this.#root, 'debs');
    const have = () => readdirSync(dir).find((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'));
    if (have() === undefined) this.#run('apt-get', '-t', suite, 'download', name);
    const file = have();
    if (file === undefined) throw new Error(`Cannot download ${name} of ${suite}: found no file afterwards`);
    return join(dir, file);
  }

  #run(command: 'apt-get' | 'apt-cache', ...args: string[]): string {
    const options = {
      'Dir::Etc::sourcelist': this.#sources,
      'Dir::Etc::sourceparts': '/dev/null',
      'Dir::State::lists': join(this.#root, 'lists'),
      'Dir::State::status': '/dev/null',
      'Dir::Cache': join(this.#root, 'cache'),
      'Acquire::Languages': 'none',
      // The download user of root's apt may not write here; packages are verified all the same.
      'APT::Sandbox::User': 'root',
    };
    const flags = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
    return execFileSync(command, [...flags, ...args], {
      cwd: join(this.#root, 'debs'),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 64 << 20,
    });
  }
}

function mirrorOf(suite: string): string {
  return suite.endsWith('-security') ? 'http://deb.debian.org/debian-security' : 'http://deb.debian.org/debian';
}
