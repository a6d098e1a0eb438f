// Files that are either the old or the new one, whatever happens in between: written beside, synced, renamed, directory synced.
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces file by data (mode applies to the new file). Durable when it returns; on an error the old file is untouched. */
export function writeFileAtomic(file: string, data: Uint8Array | string, mode = 0o600): void {
  const directory = dirname(file);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const temporary = `${file}.new`;
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  try {
    unlinkSync(temporary); // a leftover of a crash may carry another mode
  } catch {}
  const fd = openSync(temporary, 'wx', mode);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncDirectory(directory);
}

/** The same beside the program, which goes on meanwhile: a disk may take a second. Not for two calls at once on one file. */
export async function replaceFile(file: string, data: Uint8Array | string, mode = 0o600): Promise<void> {
  const directory = dirname(file);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const temporary = `${file}.new`;
  await rm(temporary, { force: true }); // a leftover of a crash may carry another mode
  {
    await using handle = await open(temporary, 'wx', mode);
    await handle.writeFile(data);
    await handle.sync();
  }
  await rename(temporary, file);
  await using folder = await open(directory, 'r');
  await folder.sync();
}

/** Makes renames and unlinks in the directory durable. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
