// Who sees whom under which address. Until the NAT issue there are two kinds of space: the routed world (empty name), seen by
// every host, and `local:<network>`, seen on its own host only. A host's kernel has one view, the space with the empty name.

/** An address in the space it is meaningful in. */
export interface SpaceAddress {
  readonly space: string;
  /** Mapped bytes. */
  readonly address: Uint8Array;
}

/** Something with addresses: a workload, on a host or (hostId empty) without an agent. */
export interface Located {
  readonly hostId: string;
  readonly addresses: readonly SpaceAddress[];
}

/** The name of the space in which every host sees the routed world. */
export const WORLD = '';
const LOCAL = 'local:';

/** The hosts that see an address: all of them, one, or (a local address without a host, an unknown space) none. */
export type Audience =
  | { readonly kind: 'world' }
  | { readonly kind: 'host'; readonly hostId: string }
  | { readonly kind: 'none' };

/** Who sees this address of this peer. */
export function audience(peer: Pick<Located, 'hostId'>, at: SpaceAddress): Audience {
  if (at.space === WORLD) return { kind: 'world' };
  if (at.space.startsWith(LOCAL) && peer.hostId !== '') return { kind: 'host', hostId: peer.hostId };
  return { kind: 'none' };
}

/** The addresses under which a host sees a peer, in that host's own naming of spaces. */
export function view(observerHostId: string, peer: Located): SpaceAddress[] {
  return peer.addresses
    .filter((at) => {
      const seen = audience(peer, at);
      return seen.kind === 'world' || (seen.kind === 'host' && seen.hostId === observerHostId);
    })
    .map(({ address }) => ({ space: WORLD, address }));
}
