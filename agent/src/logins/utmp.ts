// The records of a utmp file, as glibc writes them. What does not look like a record is passed over: the file is written by many
// programs, is not locked by all of them, and is damaged on some machines for years. Pure.
import { userNames } from './login-source.js';

/** Bytes of one record. Where long is 64 bits and time was never 32 (not x86), the session and time fields are wider. */
export const RECORD_BYTES = process.arch === 'arm64' || process.arch === 'riscv64' ? 400 : 384;
/** Of a larger file only so many bytes are read: a thousand lines hold whoever is logged in on any host. */
export const UTMP_BYTES_MAX = 1024 * 400;

const USER_PROCESS = 7;
const TYPE_AT = 0;
const PID_AT = 4;
const USER_AT = 44;
const USER_BYTES = 32;

/**
 * Users with a session. `lives` says whether a process exists: a session whose leader was killed leaves its record behind. A record that
 * is cut short, of another kind, without a name or with a name that is no text counts for nothing.
 */
export function utmpUsers(bytes: Uint8Array, lives: (pid: number) => boolean): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const users: string[] = [];
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    if (view.getInt16(at + TYPE_AT, true) !== USER_PROCESS) continue;
    const pid = view.getInt32(at + PID_AT, true);
    const user = textOf(bytes.subarray(at + USER_AT, at + USER_AT + USER_BYTES));
    if (user !== undefined && pid > 0 && lives(pid)) users.push(user);
  }
  return userNames(users);
}

/** Up to the first NUL; undefined when that is no UTF-8. */
function textOf(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(end < 0 ? bytes : bytes.subarray(0, end));
  } catch {
    return undefined;
  }
}
