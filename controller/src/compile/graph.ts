// The compiler, wired. Inputs on the left are level-triggered and only remembered; flush pulls the changes through.
//
//   setPolicy, tick ──► RuleTable ──► RuleIndex ─────────┐
//                          │ dimensions                  ▼
//   setWorkload ──► IdentityTable ──► LabelIndex ──► SetBuilder ──► SetNode (content-addressed) ─┐
//          │                                             ▲                                       ▼
//          │                            CidrClasses ─────┘ classes                           HostState ──► sequence ──► deltas
//          └──► Placement ──► BindingTable, NatTable ────────────────────────────────────────────▲
// setSpaces ─────────┘
//   setHost ─────────────────────────────────────────────────────────────────────────────────────┘
//
// Every index answers "whom does this touch" from the changed thing itself; nothing walks all workloads, rules or hosts, except
// when policy begins or ceases to mention a dimension (every identity may change) and when IP lists change (every class may).

import { prefixKey } from '@ringfence/proto/address.js';
import { Direction } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { HostDelta } from '@ringfence/proto/instructions.js';
import { effectiveMode } from '../policy/evaluate.js';
import { EMPTY_POLICY, type IpList, type ModeRule, type Policy } from '../policy/model.js';
import type { SpaceTree } from '../topology/spaces.js';
import { AddressBook } from './address-book.js';
import { BindingTable } from './binding-table.js';
import { CidrClasses } from './cidr-classes.js';
import { adjust } from './counts.js';
import { HostState } from './host-state.js';
import { type Identity, IdentityTable, type Relevance, type SubjectState } from './identity-table.js';
import { LabelIndex } from './label-index.js';
import { NatTable, type PushedMapping } from './nat-table.js';
import { Placement } from './placement.js';
import { RuleIndex } from './rule-index.js';
import { type RuleChanges, RuleTable } from './rule-table.js';
import { SetBuilder } from './set-builder.js';
import { ownEnd, type SetNode } from './set-node.js';
import { type Placed, Teller } from './teller.js';
import { Tombstones } from './tombstones.js';
import type { ClassNumbers, Compiler, CompilerWorkload, IdentityNumbers } from './types.js';

export interface CompilerOptions {
  readonly identities: IdentityNumbers;
  readonly classes: ClassNumbers;
  /** How long the number of an identity without workloads rests before it is released. */
  readonly quarantineMs: number;
}

/** A compiler that knows nothing yet. */
export function createCompiler(options: CompilerOptions): Compiler {
  return new CompilerGraph(options);
}

/** How many steps of a loop lie between two pauses. */
const PAUSE_EVERY = 64;

class CompilerGraph implements Compiler {
  readonly #identities: IdentityTable;
  readonly #classes: CidrClasses;
  readonly #labels = new LabelIndex();
  readonly #rules = new RuleIndex();
  readonly #ruleTable = new RuleTable();
  readonly #sets: SetBuilder;
  readonly #bindings = new BindingTable();
  readonly #nats = new NatTable((id) => this.identityOf(id));
  readonly #tombstones: Tombstones;
  readonly #placement: Placement;
  readonly #book: AddressBook;
  readonly #teller: Teller;
  readonly #workloads = new Map<string, Placed>();
  readonly #onHost = new Map<string, Set<string>>();
  readonly #hosts = new Map<string, HostState>();
  #relevance: Relevance = { dimensions: [], workloads: new Set() };
  #lists: readonly IpList[] = [];
  #modes: readonly ModeRule[] = [];
  #modeKey = '[]';
  #policy: Policy = EMPTY_POLICY;
  #version = 0;
  #nowMs = 0;

  // Remembered until the next flush.
  #policyChanged = false;
  readonly #pending = new Map<string, CompilerWorkload | undefined>();
  readonly #pendingHosts = new Map<string, boolean>();

  // Of the flush that runs.
  readonly #dirtyHosts = new Set<HostState>();
  readonly #dirtySubjects = new Set<Identity>();
  readonly #dirtyIdentities = new Set<Identity>();

  constructor(options: CompilerOptions) {
    this.#identities = new IdentityTable(options.identities, options.quarantineMs);
    this.#classes = new CidrClasses(options.classes);
    this.#tombstones = new Tombstones(options.quarantineMs);
    this.#placement = new Placement(this.#bindings, this.#nats, this.#tombstones);
    this.#book = new AddressBook(
      this.#bindings,
      (number) => this.#identities.get(number),
      (id) => this.#placement.placesOf(id),
    );
    this.#sets = new SetBuilder(this.#rules, (selector) => this.#labels.query(selector));
    this.#teller = new Teller({
      bindings: this.#bindings,
      book: this.#book,
      classes: this.#classes,
      nats: this.#nats,
      placement: this.#placement,
      sets: this.#sets,
      workloads: this.#workloads,
      hosts: this.#hosts,
      identity: (number) => this.#identities.get(number),
    });
  }

  setWorkload(workload: CompilerWorkload): void {
    this.#pending.set(workload.id, workload);
  }

  removeWorkload(id: string): void {
    this.#pending.set(id, undefined);
  }

  setPolicy(policy: Policy, version: number): void {
    this.#policy = policy;
    this.#version = version;
    this.#policyChanged = true;
  }

  setHost(hostId: string): void {
    this.#pendingHosts.set(hostId, true);
  }

  removeHost(hostId: string): void {
    this.#pendingHosts.set(hostId, false);
  }

  setSpaces(tree: SpaceTree): void {
    for (const hostId of this.#placement.setSpaces(tree)) {
      if (this.#hosts.has(hostId) && !this.#pendingHosts.has(hostId)) this.#pendingHosts.set(hostId, true);
    }
  }

  setMapping(mapping: PushedMapping): void {
    this.#nats.push(mapping);
  }

  removeMapping(at: Pick<PushedMapping, 'space' | 'protocol' | 'hex' | 'port'>): void {
    this.#nats.withdraw(at);
  }

  tick(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    if ((this.#ruleTable.nextExpiryMs() ?? Number.POSITIVE_INFINITY) <= this.#nowMs) this.#policyChanged = true;
    this.#identities.tick(this.#nowMs);
    this.#tombstones.tick(this.#nowMs);
  }

  nextDeadlineMs(): number | undefined {
    const deadlines = [this.#ruleTable.nextExpiryMs(), this.#identities.nextDeadlineMs()];
    const known = deadlines.filter((ms) => ms !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  flush(): HostDelta[] {
    const deltas: HostDelta[] = [];
    for (const delta of this.flushInTurns()) if (delta !== undefined) deltas.push(delta);
    return deltas;
  }

  *flushInTurns(): Generator<HostDelta | undefined, void> {
    this.#applyHosts();
    this.#book.forget();
    const changes = yield* this.#applyPolicy();
    yield* this.#applyWorkloads();
    yield* this.#applyIdentities();
    this.#applyRuleSubjects(changes);
    this.#applyClasses();
    yield* this.#applySubjects();
    yield* this.#publish();
    yield* this.#teller.deltas(this.#dirtyHosts, this.#version);
    this.#sets.sweep();
    this.#bindings.sweep();
    this.#nats.sweep();
    this.#dirtyHosts.clear();
    this.#dirtySubjects.clear();
    this.#dirtyIdentities.clear();
  }

  snapshot(hostId: string): HostDelta | undefined {
    const host = this.#hosts.get(hostId);
    return host === undefined || host.fresh ? undefined : this.#teller.whole(host, this.#version);
  }

  identityOf(workloadId: string): number {
    return this.#workloads.get(workloadId)?.identity.number ?? 0;
  }

  behind(hostId: string, hex: string): readonly string[] {
    return this.#bindings.workloadsSeenBy(this.#placement.scopes(hostId), hex);
  }

  lately(hostId: string, hex: string) {
    return this.#tombstones.at(this.#placement.scopes(hostId), hex);
  }

  serviceAt(hostId: string, protocol: number, hex: string, port: number) {
    return this.#nats.seenBy(this.#placement.scopes(hostId), protocol, hex, port);
  }

  placesOf(workloadId: string) {
    return this.#placement.placesOf(workloadId).filter(({ former }) => former !== true);
  }

  servicesOf(workloadId: string) {
    return this.#placement.servicesOf(workloadId);
  }

  scopes(hostId: string): readonly string[] {
    return this.#placement.scopes(hostId);
  }

  workloadsOf(identity: number): readonly string[] {
    return [...(this.#identities.get(identity)?.members ?? [])].sort();
  }

  #applyHosts(): void {
    for (const [hostId, wanted] of this.#pendingHosts) {
      const before = this.#hosts.get(hostId);
      if (before !== undefined) {
        this.#wantAll(before, -1);
        this.#dirtyHosts.delete(before);
        this.#hosts.delete(hostId);
      }
      if (!wanted) continue;
      const host = new HostState(hostId, this.#localWorkloads(hostId));
      this.#hosts.set(hostId, host);
      this.#dirtyHosts.add(host);
      this.#wantAll(host, 1);
    }
    this.#pendingHosts.clear();
  }

  #wantAll(host: HostState, by: 1 | -1): void {
    for (const id of host.workloads) {
      const placed = this.#workloads.get(id);
      if (placed !== undefined) this.#want(host, placed.identity, by);
    }
  }

  /** Rules in force and the dimensions that matter; when these change, every workload is looked at again. */
  *#applyPolicy(): Generator<undefined, RuleChanges> {
    if (!this.#policyChanged) return { added: [], removed: [] };
    this.#policyChanged = false;
    const changes = this.#ruleTable.update(this.#policy, this.#nowMs);
    for (const active of changes.removed) this.#rules.remove(active);
    for (const [at, active] of changes.added.entries()) {
      if (at % PAUSE_EVERY === 0) yield;
      this.#rules.add(active);
    }
    const relevance = this.#ruleTable.relevance(this.#policy);
    if (!sameRelevance(relevance, this.#relevance)) {
      this.#relevance = relevance;
      for (const [id, { workload }] of this.#workloads) if (!this.#pending.has(id)) this.#pending.set(id, workload);
    }
    return changes;
  }

  *#applyWorkloads(): Generator<undefined, void> {
    let at = 0;
    for (const [id, workload] of this.#pending) {
      if (++at % PAUSE_EVERY === 0) yield;
      const before = this.#workloads.get(id);
      const identity = workload && this.#identities.identityOf(id, workload.labels, this.#relevance);
      if (before !== undefined && (before.workload !== workload || before.identity !== identity))
        this.#displace(before);
      if (workload === undefined || identity === undefined) continue;
      if (before?.workload === workload && before.identity === identity) continue;
      this.#place({ workload, identity });
    }
    yield* this.#placement.settle();
    this.#pending.clear();
  }

  #place(placed: Placed): void {
    const { workload, identity } = placed;
    this.#workloads.set(workload.id, placed);
    identity.members.add(workload.id);
    this.#dirtyIdentities.add(identity);
    this.#placement.add(workload, identity.number);
    if (workload.hostId === '') return;
    this.#localWorkloads(workload.hostId).add(workload.id);
    const host = this.#hosts.get(workload.hostId);
    host?.restate(workload.id);
    if (host !== undefined) this.#want(host, identity, 1);
  }

  #displace({ workload, identity }: Placed): void {
    this.#workloads.delete(workload.id);
    identity.members.delete(workload.id);
    this.#dirtyIdentities.add(identity);
    this.#placement.remove(workload);
    if (workload.hostId === '') return;
    this.#localWorkloads(workload.hostId).delete(workload.id);
    const host = this.#hosts.get(workload.hostId);
    host?.restate(workload.id);
    if (host !== undefined) this.#want(host, identity, -1);
  }

  /** `by` more workloads of this identity are on the host: its sets are wanted there. */
  #want(host: HostState, identity: Identity, by: 1 | -1): void {
    this.#dirtyHosts.add(host);
    if (identity.wanted === 0 || identity.wanted + by === 0) this.#dirtySubjects.add(identity);
    identity.wanted += by;
    for (const node of nodesOf(identity)) host.use(node, by);
    adjust(identity.hosts, host, by);
  }

  /** Identities that were born or died: the label index and every set that names them. */
  *#applyIdentities(): Generator<undefined, void> {
    let at = 0;
    for (const identity of this.#dirtyIdentities) {
      if (++at % PAUSE_EVERY === 0) yield;
      const alive = identity.members.size > 0;
      if (alive && !identity.indexed) {
        this.#labels.add(identity);
        this.#sets.addPeer(identity);
      } else if (!alive && identity.indexed) {
        this.#labels.remove(identity);
        this.#sets.removePeer(identity);
      }
      identity.indexed = alive;
      if (!alive) this.#identities.bury(identity, this.#nowMs);
    }
  }

  /** Whose rules changed: the subjects of removed rules' nodes, and whoever matches the own end of an added one. */
  #applyRuleSubjects({ added, removed }: RuleChanges): void {
    const mark = (identities: Iterable<Identity>) => {
      for (const identity of identities) if (identity.wanted > 0) this.#dirtySubjects.add(identity);
    };
    for (const active of removed) {
      for (const node of [...active.inboundNodes, ...active.outboundNodes]) mark(node.subjects);
    }
    for (const { rule } of added) {
      for (const inbound of [true, false]) {
        if (!(inbound ? rule.inbound : rule.outbound)) continue;
        const { anyone, selector } = ownEnd(rule, inbound);
        if (anyone) mark(this.#identities.values());
        else if (selector !== undefined) mark(this.#labels.query(selector));
      }
    }
    const modeKey = this.#policy.modes === this.#modes ? this.#modeKey : JSON.stringify(this.#policy.modes);
    this.#modes = this.#policy.modes;
    if (modeKey === this.#modeKey) return;
    this.#modeKey = modeKey;
    mark(this.#identities.values());
  }

  #applyClasses(): void {
    const lists = this.#ruleTable.ipLists().flatMap((name) => this.#policy.ipLists.get(name) ?? []);
    const same = lists.length === this.#lists.length && lists.every((list, at) => sameList(list, this.#lists[at]));
    this.#lists = lists;
    if (same) return;
    this.#classes.set(lists);
    for (const node of this.#sets.nodes()) {
      if (!node.listed) continue;
      this.#sets.touch(node);
      for (const host of node.hosts.keys()) {
        host.listsMoved = true;
        this.#dirtyHosts.add(host);
      }
    }
  }

  /** Gives every subject whose rules, modes or need changed its nodes. */
  *#applySubjects(): Generator<undefined, void> {
    let at = 0;
    for (const identity of this.#dirtySubjects) {
      if (++at % PAUSE_EVERY === 0) yield;
      const before = [identity.inbound, identity.outbound];
      const wanted = identity.wanted > 0;
      identity.inbound = wanted ? this.#subject(identity, true) : undefined;
      identity.outbound = wanted ? this.#subject(identity, false) : undefined;
      let changed = false;
      for (const [at, state] of [identity.inbound, identity.outbound].entries()) {
        const was = before[at];
        if (was?.node === state?.node && was?.mode === state?.mode && was?.named === state?.named) continue;
        changed = true;
        if (was?.node !== state?.node) this.#changeNode(identity, was?.node, state?.node);
      }
      if (changed) this.#restate(identity);
    }
  }

  #changeNode(identity: Identity, old: SetNode | undefined, node: SetNode | undefined): void {
    for (const [host, count] of identity.hosts) {
      if (old !== undefined) host.use(old, -count);
      if (node !== undefined) host.use(node, count);
    }
    node?.subjects.add(identity);
    if (old === undefined) return;
    old.subjects.delete(identity);
    this.#sets.touch(old);
  }

  /** What its workloads are told may be otherwise. */
  #restate(identity: Identity): void {
    let told = false;
    for (const host of identity.hosts.keys()) {
      this.#dirtyHosts.add(host);
      told ||= !host.fresh;
    }
    if (!told) return;
    for (const id of identity.members) {
      const hostId = this.#workloads.get(id)?.workload.hostId;
      if (hostId) this.#hosts.get(hostId)?.restate(id);
    }
  }

  #subject(identity: Identity, inbound: boolean): SubjectState {
    const direction = inbound ? Direction.DIRECTION_INBOUND : Direction.DIRECTION_OUTBOUND;
    const { mode, decidedBy } = effectiveMode(this.#policy, identity, direction);
    const previous = (inbound ? identity.inbound : identity.outbound)?.node;
    return { node: this.#sets.nodeFor(identity, inbound, previous), mode, named: decidedBy !== undefined };
  }

  /** Names the content of every node that was touched. */
  *#publish(): Generator<undefined, void> {
    let at = 0;
    for (const node of this.#sets.touched) {
      if (++at % PAUSE_EVERY === 0) yield;
      if (node.subjects.size === 0) continue;
      const built = node.build((list) => this.#classes.classesOf(list));
      const before = node.published;
      if (built?.hash === before?.hash) continue;
      node.published = built;
      for (const host of node.hosts.keys()) {
        host.republish(before, built);
        this.#dirtyHosts.add(host);
      }
      for (const identity of node.subjects) this.#restate(identity);
    }
  }

  #localWorkloads(hostId: string): Set<string> {
    const known = this.#onHost.get(hostId);
    if (known !== undefined) return known;
    const made = new Set<string>();
    this.#onHost.set(hostId, made);
    return made;
  }
}

function nodesOf(identity: Identity): SetNode[] {
  return [identity.inbound?.node, identity.outbound?.node].filter((node) => node !== undefined);
}

function sameRelevance(a: Relevance, b: Relevance): boolean {
  return (
    a.dimensions.join('\n') === b.dimensions.join('\n') &&
    a.workloads.size === b.workloads.size &&
    [...a.workloads].every((id) => b.workloads.has(id))
  );
}

function sameList(a: IpList, b: IpList | undefined): boolean {
  if (a === b || b === undefined) return a === b;
  const content = (list: IpList) => [...list.include.map(prefixKey), '-', ...list.exclude.map(prefixKey)].join(' ');
  return a.name === b.name && content(a) === content(b);
}
