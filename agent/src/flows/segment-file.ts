// A segment of the spool while it is appended to. What was appended survives the death of the process at once, and a loss of power once
// a sync is through. Syncs run beside the program: a disk may take a second for one, and events would be lost meanwhile.
import { closeSync, fdatasync, fdatasyncSync, fsync, fsyncSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../errors.js';

export class SegmentFile {
  readonly #fd: number;
  /** Open until the name of the file is safe. */
  #directoryFd: number | undefined;
  readonly #onSynced: (problem: string | undefined) => void;
  #bytes = 0;
  #unsynced = true;
  #syncing = false;
  #ended = false;

  /** Makes the file, which must not be there. `onSynced` is told how each sync ended; not what `closeNow` did. */
  constructor(file: string, onSynced: (problem: string | undefined) => void) {
    this.#fd = openSync(file, 'ax', 0o600);
    try {
      this.#directoryFd = openSync(dirname(file), 'r');
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    this.#onSynced = onSynced;
  }

  /** In the file, also of a write that failed half way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Appends all or throws the system's error; then nothing more must be appended. */
  append(item: Uint8Array): void {
    for (let at = 0; at < item.length; ) {
      const written = writeSync(this.#fd, item, at);
      at += written;
      this.#bytes += written;
      this.#unsynced = true;
    }
  }

  /** Begins a sync of what was appended, unless one is under way: then it is for the next call. */
  sync(): void {
    if (this.#syncing || !this.#unsynced) return;
    this.#syncing = true;
    this.#unsynced = false;
    const directory = this.#directoryFd;
    fdatasync(this.#fd, (error) => {
      if (error || directory === undefined) this.#synced(error);
      else fsync(directory, (failed) => this.#synced(failed));
    });
  }

  /** Nothing more is appended: synced, then closed. */
  end(): void {
    this.#ended = true;
    this.sync();
    if (!this.#syncing) this.#close();
  }

  /** The file was removed: closed without another sync. */
  discard(): void {
    this.#ended = true;
    this.#unsynced = false;
    if (!this.#syncing) this.#close();
  }

  /** Waits for the disk, for a process that ends. A sync under way is not heard of. Throws the system's error. */
  closeNow(): void {
    try {
      if (this.#unsynced || this.#syncing) fdatasyncSync(this.#fd);
      if (this.#directoryFd !== undefined) fsyncSync(this.#directoryFd);
    } finally {
      this.#ended = true;
      this.#unsynced = false;
      if (!this.#syncing) this.#close();
    }
  }

  #synced(error: NodeJS.ErrnoException | null): void {
    this.#syncing = false;
    if (error) this.#unsynced = true;
    else this.#closeDirectory();
    this.#onSynced(error ? messageOf(error) : undefined);
    // What came while it ran; a sync that failed is not tried again by a file that nothing more comes to.
    if (this.#ended && this.#unsynced && !error) this.sync();
    if (this.#ended && !this.#syncing) this.#close();
  }

  #close(): void {
    this.#closeDirectory();
    closeSync(this.#fd);
  }

  #closeDirectory(): void {
    if (this.#directoryFd !== undefined) closeSync(this.#directoryFd);
    this.#directoryFd = undefined;
  }
}
