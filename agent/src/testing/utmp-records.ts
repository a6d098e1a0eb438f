// Records of a utmp file as login programs write them.
import { RECORD_BYTES } from '../logins/utmp.js';

export interface UtmpRecord {
  /** 7: a user's session (default). 8: one that ended. */
  readonly type?: number;
  readonly pid?: number;
  readonly user?: string | Uint8Array;
  readonly line?: string;
}

export function utmpRecord({ type = 7, pid = process.pid, user = '', line = 'pts/0' }: UtmpRecord): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeInt16LE(type, 0);
  bytes.writeInt32LE(pid, 4);
  bytes.write(line, 8, 32);
  Buffer.from(user).copy(bytes, 44, 0, 32);
  return bytes;
}
