// Where things are pinned: <pinPath>/v<ABI>/{maps,progs,links}/<name>. The directory is made under another name and renamed when
// it is complete, so that a crash while making it leaves nothing that looks like a datapath.
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ABI_VERSION } from '@ringfence/bpf';
import { ensureBpffs, unpin } from '@ringfence/native';

/** rmdir of a mount point, or of a directory that others use too. */
const KEPT = ['EBUSY', 'ENOTEMPTY'];
const KINDS = ['maps', 'progs', 'links'] as const;
export type PinKind = (typeof KINDS)[number];

export class Pins {
  readonly #final: string;
  #root: string;

  /** Mounts a bpffs at pinPath when there is none. Throws NativeError RF_KERNEL. */
  constructor(pinPath: string) {
    ensureBpffs(pinPath);
    this.#final = join(pinPath, `v${ABI_VERSION}`);
    this.#root = this.#final;
  }

  get root(): string {
    return this.#root;
  }

  /** A complete datapath is pinned here. */
  get exists(): boolean {
    return existsSync(this.#final);
  }

  /** Datapaths of builds with another ABI are pinned beside this one. */
  get hasOthers(): boolean {
    return this.#others().length > 0;
  }

  path(kind: PinKind, name: string): string {
    return join(this.#root, kind, name);
  }

  names(kind: PinKind): string[] {
    const dir = join(this.#root, kind);
    return existsSync(dir) ? readdirSync(dir) : [];
  }

  /** From now on paths lie in a fresh directory, until commit. Left-overs of a crash are removed. */
  begin(): void {
    this.#root = `${this.#final}-new`;
    removeTree(this.#root);
    for (const kind of KINDS) mkdirSync(join(this.#root, kind), { recursive: true });
  }

  commit(): void {
    renameSync(this.#root, this.#final);
    this.#root = this.#final;
  }

  /** Puts a new pin in the place of an old one in one step. pin: pins at the path it is given. */
  replace(kind: PinKind, name: string, pin: (path: string) => void): void {
    const fresh = this.path(kind, `${name}+`);
    unpin(fresh);
    pin(fresh);
    renameSync(fresh, this.path(kind, name));
  }

  remove(kind: PinKind, name: string): void {
    unpin(this.path(kind, name));
  }

  /** Unpins what other ABIs left; links go with their pins. Filters of the clsact mode have none: what attaches there takes their place. */
  removeOthers(): void {
    for (const root of this.#others()) removeTree(root);
  }

  /** All of it, of every ABI, and the directory too when it is empty then and not a mount point. */
  removeAll(): void {
    removeTree(this.#root);
    removeTree(`${this.#final}-new`);
    this.removeOthers();
    try {
      rmdirSync(dirname(this.#final));
    } catch (error) {
      if (!KEPT.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  #others(): string[] {
    const parent = dirname(this.#final);
    const names = readdirSync(parent).filter((name) => /^v\d+(-new)?$/.test(name));
    return names.map((name) => join(parent, name)).filter((root) => root !== this.#final && root !== this.#root);
  }
}

function removeTree(root: string): void {
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const path = join(root, name);
    if (statSync(path).isDirectory()) removeTree(path);
    else unpin(path);
  }
  rmdirSync(root);
}
