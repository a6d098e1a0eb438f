// Bindings and the host's own addresses → rf_peers and rf_shared.
import { PeerFlag } from '@ringfence/bpf';
import { type BindingState, bindingKey } from '@ringfence/proto/instructions.js';
import type { Table } from './desired.js';
import { Edits } from './edits.js';
import { NumberPool } from './numbers.js';
import { bytesOf, packU32, peerKey, peerValue, sharedKey, textOf } from './pack.js';
import { type RecoveredNumbers, sharedContent } from './recovered.js';
import type { SpaceNumbers } from './spaces.js';
import { type Change, VersionedMap } from './versioned-map.js';

export class PeerTables {
  peers: Table = VersionedMap.of();
  shared: Table = VersionedMap.of();
  readonly #numbers: NumberPool;
  readonly #spaces: SpaceNumbers;
  /** As packed text. */
  #hostAddresses: ReadonlySet<string> = new Set();

  constructor(recovered: RecoveredNumbers, spaces: SpaceNumbers) {
    this.#numbers = new NumberPool(recovered.highWater.shared, recovered.shared);
    this.#spaces = spaces;
  }

  get nextShared(): number {
    return this.#numbers.next;
  }

  /** bindingOf: the bindings as they are after the changes. hostAddresses: mapped bytes, in the routed space. */
  update(
    changes: readonly Change<string, BindingState>[],
    bindingOf: (key: string) => BindingState | undefined,
    hostAddresses: readonly Uint8Array[],
  ): void {
    const peers = new Edits();
    const shared = new Edits();
    // Acquired before released: a list that moves from one address to another keeps its number.
    for (const { after } of changes) if (after !== undefined) this.#acquire(after, shared);
    for (const { before } of changes) if (before !== undefined) this.#release(before, shared);
    const former = this.#hostAddresses;
    this.#hostAddresses = new Set(hostAddresses.map(textOf));
    for (const { before, after } of changes) this.#place(before, after, peers);
    for (const text of new Set([...former, ...this.#hostAddresses])) {
      if (former.has(text) === this.#hostAddresses.has(text)) continue;
      const at = { space: '', address: bytesOf(text) };
      const binding = bindingOf(bindingKey(at));
      if (binding !== undefined) this.#place(undefined, binding, peers);
      else if (this.#hostAddresses.has(text)) peers.put(peerKey(0, at.address), peerValue(0, PeerFlag.HOST));
      else peers.remove(peerKey(0, at.address));
    }
    this.peers = peers.appliedTo(this.peers);
    this.shared = shared.appliedTo(this.shared);
    this.#numbers.forgetAdoptable();
  }

  #place(before: BindingState | undefined, after: BindingState | undefined, peers: Edits): void {
    const at = after ?? before;
    if (at === undefined) return;
    const key = peerKey(this.#spaces.numberOf(at.space), at.address);
    const host = at.space === '' && this.#hostAddresses.has(textOf(at.address)) ? PeerFlag.HOST : 0;
    if (after === undefined) {
      if (host === 0) peers.remove(key);
      else peers.put(key, peerValue(0, host));
      return;
    }
    const flags = host | (after.unmanaged ? PeerFlag.UNMANAGED : 0) | (after.former ? PeerFlag.FORMER : 0);
    if (after.shared.length < 2) peers.put(key, peerValue(after.shared[0] ?? after.identity, flags));
    else {
      const number = this.#numbers.numberOf(sharedContent(after.shared)) ?? 0;
      peers.put(key, peerValue(number, flags | PeerFlag.SHARED));
    }
  }

  #acquire(binding: BindingState, shared: Edits): void {
    if (binding.shared.length < 2) return;
    const { number, first } = this.#numbers.acquire(sharedContent(binding.shared));
    if (!first) return;
    for (const [index, identity] of binding.shared.entries()) shared.put(sharedKey(number, index), packU32(identity));
  }

  #release(binding: BindingState, shared: Edits): void {
    if (binding.shared.length < 2) return;
    const { number, last } = this.#numbers.release(sharedContent(binding.shared));
    if (!last) return;
    for (const index of binding.shared.keys()) shared.remove(sharedKey(number, index));
  }
}
