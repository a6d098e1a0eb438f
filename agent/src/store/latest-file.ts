// A file that follows a value: written one after the other, beside the program; of what waits only the newest is written.
import { replaceFile } from './atomic-file.js';

export class LatestFile {
  readonly #path: string;
  #content: () => Uint8Array | string = () => '';
  #running: Promise<void> = Promise.resolve();
  /** Asked for and not begun. */
  #waiting: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Asks for this content, made when its turn comes. Fulfilled when it, or what was asked for later, is on disk; rejected when the disk, or
   * `content`, refused: then the file is as it was.
   */
  write(content: () => Uint8Array | string): Promise<void> {
    this.#content = content;
    if (this.#waiting !== undefined) return this.#waiting;
    const turn = this.#running
      .catch(() => undefined)
      .then(() => {
        this.#waiting = undefined;
        return replaceFile(this.#path, this.#content());
      });
    this.#waiting = turn;
    this.#running = turn;
    return turn;
  }
}
