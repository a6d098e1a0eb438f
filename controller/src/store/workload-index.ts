// Workloads by what they are looked up by: host, name, address. Follows the store's commits, so it is as new as the tables are.
import type { WorkloadRecord } from './records.js';
import type { StateStore } from './state-store.js';

export class WorkloadIndex {
  readonly #store: StateStore;
  readonly #byHost = new Map<string, Set<string>>();
  readonly #byName = new Map<string, Set<string>>();
  /** Key: address in hexadecimal, whatever its space. Present workloads only. */
  readonly #byAddress = new Map<string, Set<string>>();
  #present = 0;

  constructor(store: StateStore) {
    this.#store = store;
    for (const record of store.table('workload').values()) this.#add(record);
    store.onCommit((changes) => {
      for (const change of changes) {
        if (change.kind !== 'workload') continue;
        if (change.before !== undefined) this.#remove(change.before);
        if (change.after !== undefined) this.#add(change.after);
      }
    });
  }

  /** Workloads whose agent no longer reports them are not counted. */
  get presentCount(): number {
    return this.#present;
  }

  /** All of one host, gone ones included. */
  ofHost(hostId: string): WorkloadRecord[] {
    return this.#records(this.#byHost.get(hostId));
  }

  /** All with this name, gone ones included. */
  named(name: string): WorkloadRecord[] {
    return this.#records(this.#byName.get(name));
  }

  /**
   * Present workloads that an agent on `hostId` may see under this address: those of the routed world, and those of a local
   * space of its own host.
   */
  at(ipHex: string, hostId: string): WorkloadRecord[] {
    return this.#records(this.#byAddress.get(ipHex)).filter(
      (record) =>
        record.hostId === hostId ||
        record.addresses.some(({ ip, space }) => ip === ipHex && !space.startsWith('local:')),
    );
  }

  /**
   * The workload that a person means by an id, "<host>/<name>", or a name; among several the present ones count. Else how many
   * it could be.
   */
  find(text: string): WorkloadRecord | { readonly candidates: readonly WorkloadRecord[] } {
    const byId = this.#store.get('workload', text);
    if (byId !== undefined) return byId;
    const slash = text.indexOf('/');
    const named = slash > 0 ? this.named(text.slice(slash + 1)).filter((w) => w.hostId === text.slice(0, slash)) : [];
    const all = named.length > 0 ? named : this.named(text);
    const present = all.filter((record) => record.present);
    const candidates = present.length > 0 ? present : all;
    const [only] = candidates;
    return only !== undefined && candidates.length === 1 ? only : { candidates };
  }

  #records(ids: Iterable<string> | undefined): WorkloadRecord[] {
    const records: WorkloadRecord[] = [];
    for (const id of ids ?? []) {
      const record = this.#store.get('workload', id);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  #add(record: WorkloadRecord): void {
    insert(this.#byHost, record.hostId, record.id);
    insert(this.#byName, record.name, record.id);
    if (!record.present) return;
    this.#present += 1;
    for (const { ip } of record.addresses) insert(this.#byAddress, ip, record.id);
  }

  #remove(record: WorkloadRecord): void {
    erase(this.#byHost, record.hostId, record.id);
    erase(this.#byName, record.name, record.id);
    if (!record.present) return;
    this.#present -= 1;
    for (const { ip } of record.addresses) erase(this.#byAddress, ip, record.id);
  }
}

function insert(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) index.set(key, new Set([id]));
  else ids.add(id);
}

function erase(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  ids?.delete(id);
  if (ids?.size === 0) index.delete(key);
}
