// Processes of this machine, from /proc.
import { readFileSync, readlinkSync } from 'node:fs';
import type { ProcessSource } from './process-names.js';

export const procSource: ProcessSource = {
  comm: (pid) => unlessGone(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()),
  exe: (pid) => unlessGone(() => readlinkSync(`/proc/${pid}/exe`)),
};

function unlessGone(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
