// Connections that the kernel cut, as events tell of them.
import { BYTE, u16be, WORD } from './event-layout.js';

/** An open connection that the kernel cut: its local socket should be closed. Addresses are 16 bytes, ports host order. */
export interface CutConnection {
  readonly protocol: number;
  readonly localAddress: Uint8Array;
  readonly localPort: number;
  readonly remoteAddress: Uint8Array;
  readonly remotePort: number;
  readonly endpoint: number;
}

/** Of the event at word w and byte b of a batch. Addresses are copies. */
export function cutConnection(words: Uint32Array, bytes: Uint8Array, w: number, b: number): CutConnection {
  return {
    protocol: bytes[b + BYTE.proto] as number,
    localAddress: bytes.slice(b + BYTE.local, b + BYTE.local + 16),
    localPort: u16be(bytes, b + BYTE.localPort),
    remoteAddress: bytes.slice(b + BYTE.remote, b + BYTE.remote + 16),
    remotePort: u16be(bytes, b + BYTE.remotePort),
    endpoint: words[w + WORD.endpoint] as number,
  };
}
