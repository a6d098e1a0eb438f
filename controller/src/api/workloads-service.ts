// The Workloads service.
import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { WorkloadSpec, WorkloadsServer } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Logger } from 'pino';
import { boundedMetadata, stickyKey } from '../discovery/inventory.js';
import type { PolicyDocument } from '../policy/model.js';
import { ID_PATTERN, ID_WANTED } from '../policy/names.js';
import { formatSelector, selectorMatches } from '../policy/selector.js';
import { readSelector } from '../policy/selector-text.js';
import type { WorkloadRecord } from '../store/records.js';
import type { StateStore, StateTransaction } from '../store/state-store.js';
import type { WorkloadIndex } from '../store/workload-index.js';
import { addressFromWire, checkText, type KnownDimensions, labelsFromWire, NAME_MAX, quote } from './convert.js';
import { ApiError, invalid, notFound, unary } from './errors.js';
import { membershipsOf } from './memberships.js';
import { pageOf } from './pages.js';
import type { PolicyBook } from './policy-book.js';
import { type WorkloadView, workloadPredicate } from './workload-view.js';
import { watchWorkloads } from './workload-watch.js';

export interface WorkloadsOptions {
  readonly store: StateStore;
  readonly index: WorkloadIndex;
  readonly view: WorkloadView;
  readonly policy: Pick<PolicyBook, 'policyFor'>;
  /** The document whose groups a selector means: the one in force, or the draft's. Throws ApiError when the draft cannot be read. */
  readonly groups: (draft: boolean) => PolicyDocument;
  /** Brings labels that follow logins up to date. */
  readonly relabel: (tx: StateTransaction, records: readonly WorkloadRecord[]) => void;
  /** Dimensions that labels may use, with their permitted values. */
  readonly dimensions: () => KnownDimensions;
  readonly now: () => number;
  readonly log: Logger;
}

const ADDRESSES_MAX = 256;
/** Workloads without an agent, over all sources. */
const PUSHED_MAX = 200_000;
const WATCHERS_MAX = 64;
const SELECTOR_MAX = 16_384;

export function workloadsService(options: WorkloadsOptions): WorkloadsServer {
  const { store, index, view, log } = options;
  return {
    list: unary(log, ({ filter, page }) => {
      const matches = workloadPredicate(filter);
      const records = [...store.table('workload').values()].filter(matches);
      const { items, nextToken, total } = pageOf(records, page);
      return { workloads: items.map((record) => view.toWire(record)), nextToken, total };
    }),
    get: unary(log, ({ workload }) => view.toWire(findWorkload(index, workload))),
    match: unary(log, ({ selector: text, draft, page }) => {
      const read = readSelector(checkText(text, SELECTOR_MAX, 'selector'), options.groups(draft));
      if ('problem' in read) throw invalid('RF_SELECTOR', `Cannot read selector: ${read.problem}`);
      const { selector } = read;
      const records = [...store.table('workload').values()].filter(
        (record) => record.present && selectorMatches(selector, record),
      );
      const { items, nextToken, total } = pageOf(records, page);
      const workloads = items.map((record) => view.toWire(record));
      return { workloads, nextToken, total, understood: formatSelector(selector) };
    }),
    memberships: unary(log, ({ workload }) =>
      membershipsOf(options.policy, findWorkload(index, workload), options.now()),
    ),
    setLabels: unary(log, async (request, caller) => {
      const set = labelsFromWire(request.set, request.workload, options.dimensions());
      const { id } = findWorkload(index, request.workload);
      const record = await store.update((tx) => {
        const before = demandWorkload(tx, id);
        demandVersion(before, request.expectedVersion);
        const kept = request.replace ? {} : { ...before.labels };
        for (const dimension of request.remove) delete kept[dimension];
        const labels = sorted({ ...kept, ...set });
        const reason = { source: 'operator' as const, by: caller.name, atMs: options.now() };
        const reasons = Object.entries({ ...before.labelReasons }).filter(
          ([dimension]) => kept[dimension] !== undefined,
        );
        const after: WorkloadRecord = {
          ...before,
          labels,
          labelReasons: {
            ...Object.fromEntries(reasons),
            ...Object.fromEntries(Object.keys(set).map((dimension) => [dimension, reason])),
          },
          sticky: request.sticky || (before.sticky && !request.replace),
          version: before.version + 1,
        };
        tx.set('workload', id, after);
        options.relabel(tx, [after]);
        if (after.sticky && after.hostId !== '') tx.set('sticky', stickyKey(after), { labels });
        else if (before.sticky) tx.delete('sticky', stickyKey(after));
        return tx.get('workload', id) ?? after;
      });
      return view.toWire(record);
    }),
    create: unary(log, async ({ workload, source }, caller) => {
      const spec = checkSpec(workload, options.dimensions());
      const from = sourceOf(source, caller.name);
      const id = spec.id === '' ? `pushed/${randomUUID()}` : spec.id;
      const record = await store.update((tx) => {
        if (tx.get('workload', id) !== undefined) {
          throw new ApiError(
            status.ALREADY_EXISTS,
            'RF_WORKLOAD_EXISTS',
            `Cannot create workload ${id}: found one of this id, wanted a free id`,
          );
        }
        demandRoom(tx, 1);
        return put(tx, { ...spec, id }, from, undefined, options.now());
      });
      return view.toWire(record);
    }),
    update: unary(log, async ({ workload, expectedVersion }) => {
      const spec = checkSpec(workload, options.dimensions());
      const record = await store.update((tx) => {
        const before = demandWorkload(tx, spec.id);
        if (before.hostId !== '') throw managedError('update', before.id);
        demandVersion(before, expectedVersion);
        return put(tx, spec, before.source, before, options.now());
      });
      return view.toWire(record);
    }),
    delete: unary(log, async ({ id, expectedVersion }) => {
      await store.update((tx) => {
        const before = demandWorkload(tx, id);
        if (before.hostId !== '' && before.present) throw managedError('delete', id);
        demandVersion(before, expectedVersion);
        tx.delete('workload', id);
      });
      return {};
    }),
    push: unary(log, async ({ source, workloads, prune }) => {
      if (source === '') throw invalid('RF_SOURCE', 'Cannot push: found no source, wanted the name of who pushes');
      const from = sourceOf(source, '');
      const specs = workloads.map((workload) => checkSpec(workload, options.dimensions()));
      const ids = new Set(specs.map(({ id }) => id));
      if (ids.has(''))
        throw invalid('RF_WORKLOAD_ID', 'Cannot push: found a workload without an id, wanted an id for each');
      if (ids.size !== specs.length)
        throw invalid('RF_WORKLOAD_ID', 'Cannot push: found an id twice, wanted each once');
      return store.update((tx) => pushAll(tx, from, specs, prune, options.now()));
    }),
    watch: watchWorkloads({ store, view, log, watchersMax: WATCHERS_MAX }),
  };
}

/** The workload a person means. Throws ApiError. */
export function findWorkload(index: WorkloadIndex, text: string): WorkloadRecord {
  const found = index.find(text);
  if (!('candidates' in found)) return found;
  if (found.candidates.length === 0) {
    throw notFound(
      'RF_WORKLOAD_UNKNOWN',
      `Cannot find workload ${quote(text)}: found none of this id or name, wanted one; \`ringfence workload list\` shows all`,
    );
  }
  const names = found.candidates.slice(0, 5).map(({ id }) => id);
  throw invalid(
    'RF_WORKLOAD_AMBIGUOUS',
    `Cannot tell workload ${quote(text)}: found ${found.candidates.length} (${names.join(', ')}), wanted an id or <host>/<name>`,
  );
}

interface CheckedSpec extends Pick<WorkloadRecord, 'id' | 'name' | 'addresses' | 'labels' | 'metadata'> {}

function checkSpec(spec: WorkloadSpec | undefined, dimensions: KnownDimensions): CheckedSpec {
  if (spec === undefined) throw invalid('RF_WORKLOAD', 'Cannot take workload: found none, wanted one');
  if (spec.id !== '' && !ID_PATTERN.test(spec.id))
    throw invalid('RF_WORKLOAD_ID', `Cannot take workload ${quote(spec.id)}: found that id, wanted ${ID_WANTED}`);
  const object = spec.id === '' ? 'workload' : spec.id;
  if (spec.addresses.length > ADDRESSES_MAX)
    throw invalid(
      'RF_ADDRESS',
      `Cannot take ${object}: found ${spec.addresses.length} addresses, wanted at most ${ADDRESSES_MAX}`,
    );
  return {
    id: spec.id,
    name: checkText(spec.name === '' ? spec.id : spec.name, NAME_MAX, `name of ${object}`),
    addresses: spec.addresses.map((address) => addressFromWire(address, object)),
    labels: sorted(labelsFromWire(spec.labels, object, dimensions)),
    metadata: boundedMetadata(spec.metadata),
  };
}

function pushAll(tx: StateTransaction, source: string, specs: readonly CheckedSpec[], prune: boolean, nowMs: number) {
  const outcome = { created: 0, updated: 0, removed: 0, unchanged: 0 };
  const own = new Map<string, WorkloadRecord>();
  for (const [id, record] of tx.entries('workload'))
    if (record.hostId === '' && record.source === source) own.set(id, record);
  demandRoom(tx, specs.filter(({ id }) => !own.has(id)).length);
  for (const spec of specs) {
    const before = tx.get('workload', spec.id);
    if (before !== undefined && !own.has(spec.id)) {
      throw new ApiError(
        status.ALREADY_EXISTS,
        'RF_WORKLOAD_EXISTS',
        `Cannot push workload ${spec.id}: found one of source ${quote(before.source)}, wanted one of ${quote(source)} or a free id`,
      );
    }
    const after = put(tx, spec, source, before, nowMs);
    if (before === undefined) outcome.created += 1;
    else if (after === before) outcome.unchanged += 1;
    else outcome.updated += 1;
  }
  const named = new Set(specs.map(({ id }) => id));
  for (const id of prune ? own.keys() : []) {
    if (named.has(id)) continue;
    tx.delete('workload', id);
    outcome.removed += 1;
  }
  return outcome;
}

/** Writes a workload without an agent; gives back `before` itself when nothing differs. */
function put(
  tx: StateTransaction,
  spec: CheckedSpec,
  source: string,
  before: WorkloadRecord | undefined,
  nowMs: number,
): WorkloadRecord {
  if (tx.get('host', spec.id.split('/')[0] ?? '') !== undefined) {
    throw invalid(
      'RF_WORKLOAD_ID',
      `Cannot take workload ${spec.id}: found an id below that of a host, wanted another`,
    );
  }
  const record: WorkloadRecord = {
    ...spec,
    kind: WorkloadKind.WORKLOAD_KIND_UNMANAGED,
    hostId: '',
    localId: '',
    source,
    image: '',
    published: [],
    cgroupPath: '',
    sticky: false,
    present: true,
    goneMs: 0,
    createdMs: before?.createdMs ?? nowMs,
    version: before?.version ?? 1,
  };
  if (before !== undefined && JSON.stringify(ordered(record)) === JSON.stringify(ordered(before))) return before;
  const written = before === undefined ? record : { ...record, version: before.version + 1 };
  tx.set('workload', written.id, written);
  return written;
}

function demandWorkload(tx: StateTransaction, id: string): WorkloadRecord {
  const record = tx.get('workload', id);
  if (record === undefined)
    throw notFound('RF_WORKLOAD_UNKNOWN', `Cannot find workload ${quote(id)}: found none of this id, wanted one`);
  return record;
}

function demandVersion(record: WorkloadRecord, expected: bigint): void {
  if (expected === 0n || expected === BigInt(record.version)) return;
  throw new ApiError(
    status.ABORTED,
    'RF_WORKLOAD_CONFLICT',
    `Cannot change workload ${record.id}: found version ${record.version}, wanted ${expected}; read it again`,
  );
}

function demandRoom(tx: StateTransaction, more: number): void {
  let pushed = 0;
  for (const [, record] of tx.entries('workload')) if (record.hostId === '') pushed += 1;
  if (pushed + more <= PUSHED_MAX) return;
  throw new ApiError(
    status.RESOURCE_EXHAUSTED,
    'RF_WORKLOADS_MAX',
    `Cannot add ${more} workloads: found ${pushed} without an agent, wanted at most ${PUSHED_MAX}`,
  );
}

function managedError(action: string, id: string): Error {
  return new ApiError(
    status.FAILED_PRECONDITION,
    'RF_WORKLOAD_MANAGED',
    `Cannot ${action} workload ${id}: found one that its agent reports, wanted one without an agent; its labels can be set`,
  );
}

function sourceOf(source: string, fallback: string): string {
  return checkText(source === '' ? fallback : source, NAME_MAX, 'source');
}

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Comparable: keys in one order. */
function ordered(record: WorkloadRecord): unknown {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
