// An initramfs image: the "newc" cpio format that the kernel unpacks. Written here so that no root and no cpio program is needed.

const TRAILER = 'TRAILER!!!';
const [DIRECTORY, REGULAR, SYMLINK, CHARACTER] = [0o040000, 0o100000, 0o120000, 0o020000];

/** Entries in the order given; directories must come before what is in them, which `file` and `link` see to. */
export class CpioArchive {
  readonly #parts: Buffer[] = [];
  readonly #known = new Set<string>();
  #inode = 1;

  directory(path: string): void {
    if (path === '' || path === '.' || this.#known.has(path)) return;
    this.#parentOf(path);
    this.#known.add(path);
    this.#entry(path, DIRECTORY | 0o755, Buffer.alloc(0));
  }

  /** path: relative to the root, without a leading slash. */
  file(path: string, content: Buffer, mode = 0o644): void {
    if (this.#known.has(path)) return;
    this.#parentOf(path);
    this.#known.add(path);
    this.#entry(path, REGULAR | mode, content);
  }

  link(path: string, target: string): void {
    if (this.#known.has(path)) return;
    this.#parentOf(path);
    this.#known.add(path);
    this.#entry(path, SYMLINK | 0o777, Buffer.from(target));
  }

  characterDevice(path: string, major: number, minor: number): void {
    this.#parentOf(path);
    this.#entry(path, CHARACTER | 0o600, Buffer.alloc(0), major, minor);
  }

  /** The whole image. Images can be put one after the other: the kernel unpacks all. */
  toBuffer(): Buffer {
    return Buffer.concat([...this.#parts, encode(0, TRAILER, 0, Buffer.alloc(0), 0, 0)]);
  }

  #parentOf(path: string): void {
    const slash = path.lastIndexOf('/');
    if (slash > 0) this.directory(path.slice(0, slash));
  }

  #entry(path: string, mode: number, content: Buffer, major = 0, minor = 0): void {
    this.#parts.push(encode(this.#inode, path, mode, content, major, minor));
    this.#inode += 1;
  }
}

function encode(inode: number, path: string, mode: number, content: Buffer, major: number, minor: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & 0o170000) === DIRECTORY ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, major, minor, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
