// What a cell of the NAT matrix is, how it is exchanged, and how the one record of its connection is compared.
import { formatAddress, mappedAddress } from '@ringfence/proto/address.js';
import {
  Confidence,
  confidenceToJSON,
  Direction,
  Reason,
  Verdict,
  verdictToJSON,
} from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Fleet } from '../src/fleet.js';
import type { Place } from '../src/place.js';

export const OUT = Direction.DIRECTION_OUTBOUND;
export const IN = Direction.DIRECTION_INBOUND;
export const {
  CONFIDENCE_EXACT: EXACT,
  CONFIDENCE_MAPPED: MAPPED,
  CONFIDENCE_SHARED: SHARED,
  CONFIDENCE_TAGGED: TAGGED,
} = Confidence;

export type Family = 'v4' | 'v6';
export type CellProtocol = 'tcp' | 'udp' | 'ping';

/** How one end's agent recorded a cell. */
export interface SeenBy {
  readonly direction: Direction;
  readonly allowed: boolean;
  readonly confidence: Confidence;
  /** The other end's name in a record that this end alone reports; empty: one of several, none of which was allowed. */
  readonly names?: string;
  /** The source's address and port as the record has them must be so. */
  readonly source?: (ip: string, port: number) => boolean;
}

export interface Cell {
  readonly name: string;
  /** Place, or host. */
  readonly from: string;
  readonly to: string;
  readonly protocol: CellProtocol;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  readonly servicePort: number;
  readonly allowed: boolean;
  readonly records: readonly SeenBy[];
  /** The translator gives other ports and tells nobody: only a tag brings the two views together. */
  readonly apart?: boolean;
}

/** What is between the two ends, and how each sees the other when it is allowed. */
export interface Row {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Added to published ports on the way. */
  readonly outside?: number;
  /** Reached by published ports, not by the service's own. */
  readonly published: boolean;
  readonly out: Confidence;
  /** Of UDP; TCP from a shared address carries a tag. */
  readonly in: Confidence;
  /** As Cell. */
  readonly apart?: boolean;
  /** No SYN to there carries a tag. */
  readonly untagged?: boolean;
  /** Machines have other ports. Default: as clients. */
  readonly machine?: boolean;
  readonly family?: Family;
  /** How the source looks to the server. */
  readonly source?: (ip: string, port: number) => boolean;
}

/** Whose own processes are watched, not enforced. */
const MACHINES: ReadonlySet<string> = new Set(['alpha', 'beta', 'gamma']);

/** TCP and UDP, allowed on the first port, denied on the second. */
export function exchangesOf(row: Row): Cell[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) => pair(row, protocol, row.family ?? 'v4'));
}

function pair(row: Row, protocol: 'tcp' | 'udp', family: Family): Cell[] {
  const [client, bad, machine] = protocol === 'tcp' ? [80, 81, 82] : [53, 54, 55];
  const good = row.machine ? machine : client;
  const outside = (port: number) => (row.published ? 8000 + port + (row.outside ?? 0) : port);
  const cell = {
    from: row.from,
    to: row.to,
    protocol,
    family,
    address: row.address,
    ...(row.apart && { apart: true }),
  };
  const title = (what: string) => `${row.name}, ${protocol} ${family}, ${what}`;
  const watched = MACHINES.has(row.from);
  // Behind a shared address the SYN says who it is.
  const tagged = protocol === 'tcp' && row.in === SHARED && !row.untagged;
  const inbound = {
    direction: IN,
    confidence: tagged ? TAGGED : row.in,
    ...(row.source && { source: row.source }),
  };
  return [
    {
      ...cell,
      name: title('allowed'),
      port: outside(good),
      servicePort: good,
      allowed: true,
      records: [
        { direction: OUT, allowed: true, confidence: row.out },
        { ...inbound, allowed: true },
      ],
    },
    {
      ...cell,
      name: title(watched ? 'denied by the server' : 'denied by the client'),
      port: outside(bad),
      servicePort: bad,
      allowed: false,
      records: watched
        ? [
            { direction: OUT, allowed: true, confidence: row.out },
            { ...inbound, allowed: false },
          ]
        : [{ direction: OUT, allowed: false, confidence: row.out, ...(row.out === SHARED && { names: '' }) }],
    },
  ];
}

/** ICMP has no ports: who may and who may not are two sources. */
export interface PingRow extends Omit<Row, 'published' | 'machine' | 'outside'> {
  /** Its own host refuses it. */
  readonly denied: string;
  /** The called end's host answers by itself, without a socket: there is nothing to record there. */
  readonly silent?: boolean;
}

export function pingsOf(row: PingRow): Cell[] {
  const family = row.family ?? 'v4';
  const type = family === 'v4' ? 8 : 128;
  const cell = {
    to: row.to,
    protocol: 'ping',
    family,
    address: row.address,
    port: 0,
    servicePort: type * 256,
  } as const;
  const title = (what: string) => `${row.name}, icmp ${family}, ${what}`;
  const inbound: SeenBy = {
    direction: IN,
    allowed: true,
    confidence: row.in,
  };
  const refused = { direction: OUT, allowed: false, confidence: row.out, ...(row.out === SHARED && { names: '' }) };
  return [
    {
      ...cell,
      name: title('allowed'),
      from: row.from,
      allowed: true,
      records: [{ direction: OUT, allowed: true, confidence: row.out }, ...(row.silent ? [] : [inbound])],
    },
    { ...cell, name: title('denied by the client'), from: row.denied, allowed: false, records: [refused] },
  ];
}

const PROTOCOL = { tcp: 6, udp: 17 } as const;
/** Agents tell wall time from a sampled distance to their own clock. */
const CLOCK_US = 15_000;

/** How a cell's exchange ended, and when. */
export interface Exchange {
  readonly ok: boolean;
  /** Unix microseconds. */
  readonly beginUs: number;
  readonly endUs: number;
}

/** Exchanges a cell's packets. One at a time: the records of a cell are told from those of others by their time. */
export async function exchange(fleet: Fleet, cell: Cell): Promise<Exchange> {
  const beginUs = Date.now() * 1000;
  const from = await placeOf(fleet, cell.from);
  const { ok } = await from.probe(cell.protocol, cell.address, cell.port, 1500);
  return { ok, beginUs, endUs: Date.now() * 1000 };
}

async function placeOf(fleet: Fleet, name: string): Promise<Place> {
  const member = fleet.members.get(name);
  return member === undefined ? fleet.place(name) : member.host.self();
}

function protocolOf({ protocol, family }: Cell): number {
  return protocol === 'ping' ? (family === 'v4' ? 1 : 58) : PROTOCOL[protocol];
}

/** The rows of a cell's connection: of its time, protocol and port, with one of its ends. */
function rowsOf(flows: readonly Flow[], cell: Cell, { beginUs, endUs }: Exchange): Flow[] {
  return flows.filter(
    (flow) =>
      flow.protocol === protocolOf(cell) &&
      flow.servicePort === cell.servicePort &&
      // What was still open when the gateway was replaced is cut then: its source's address is nobody's any more.
      flow.reason !== Reason.REASON_REVOKED &&
      Number(flow.firstSeenUs) >= beginUs - CLOCK_US &&
      Number(flow.firstSeenUs) <= endUs + CLOCK_US &&
      // Cells follow each other closely: others' records are told by their names, those that name nobody may be of this one.
      [cell.from, ''].includes(flow.source?.workloadName ?? '') &&
      [cell.to, ''].includes(flow.destination?.workloadName ?? ''),
  );
}

/** What is wrong with a cell, one line each: the exchange, that its connection is one record, its ends, and what each of them saw. */
export function problemsOf(flows: readonly Flow[], cell: Cell, exchanged: Exchange): string[] {
  const problems = exchanged.ok === cell.allowed ? [] : [`exchange ${exchanged.ok ? 'went through' : 'failed'}`];
  const rows = rowsOf(flows, cell, exchanged);
  const found = rows.map((row) => JSON.stringify(told(row))).sort();
  const wanted = expected(cell, rows)
    .map((each) => JSON.stringify(each))
    .sort();
  if (found.join() !== wanted.join())
    problems.push(
      ...rows.map((row) => `found  ${JSON.stringify(told(row))} ${ends(row)}`),
      ...wanted.map((each) => `wanted ${each}`),
    );
  const [row] = rows;
  const far = row?.views.find(({ direction }) => direction === IN) ?? undefined;
  const source = cell.records.find((seen) => seen.source !== undefined)?.source;
  if (source !== undefined && far !== undefined && !source(text(far.remoteIp), far.remotePort))
    problems.push(`found source ${text(far.remoteIp)}:${far.remotePort}`);
  return problems;
}

/** Addresses and ports of a record, and of each view of it. */
function ends({ source, destination, views }: Flow): string {
  const seen = views.map(
    ({ localIp, localPort, remoteIp, remotePort }) =>
      `${text(localIp)}:${localPort} with ${text(remoteIp)}:${remotePort}`,
  );
  return [`${text(source?.ip)}:${source?.port} to ${text(destination?.ip)}:${destination?.port}`, ...seen].join(', ');
}

function text(ip: Uint8Array | undefined): string {
  return formatAddress(mappedAddress(ip ?? new Uint8Array(4)));
}

/** A record in the words that cells are compared in. */
function told(row: Flow): object {
  const views = row.views.length === 0 ? [row] : row.views;
  return {
    source: row.source?.workloadName,
    destination: row.destination?.workloadName,
    verdict: word(verdictToJSON(row.verdict)),
    confidence: word(confidenceToJSON(row.confidence)),
    views: views.map(({ direction, verdict, confidence }) => viewText(direction, verdict, confidence)),
  };
}

function viewText(direction: Direction, verdict: Verdict, confidence: Confidence): string {
  // What the translating host told may come after the record: alone it says shared then, and is named when the two come together.
  const known = direction === IN && confidence === MAPPED ? SHARED : confidence;
  return [direction === IN ? 'in' : 'out', word(verdictToJSON(verdict)), word(confidenceToJSON(known))].join(' ');
}

/** The record of a cell. */
function expected(cell: Cell, rows: readonly Flow[]): object[] {
  const { ALLOWED, BLOCKED } = { ALLOWED: Verdict.VERDICT_ALLOWED, BLOCKED: Verdict.VERDICT_BLOCKED };
  const verdict = (allowed: boolean) => (allowed ? ALLOWED : BLOCKED);
  const views = cell.records.map((seen) => viewText(seen.direction, verdict(seen.allowed), seen.confidence));
  const [near, far] = [OUT, IN].map((direction) => cell.records.find((seen) => seen.direction === direction));
  const record = {
    source: cell.from,
    destination: cell.to,
    verdict: word(verdictToJSON(verdict(cell.allowed))),
    confidence: word(confidenceToJSON(near?.confidence ?? EXACT)),
    views,
  };
  if (near === undefined || far === undefined) return [{ ...record, destination: near?.names ?? cell.to }];
  // The inbound one is given up in favour of the other, unless a tag says whose it is.
  if (cell.apart && far.confidence !== TAGGED) return [{ ...record, views: views.slice(0, 1) }];
  return [{ ...record, confidence: word(confidenceToJSON(together(rows[0], far.confidence))) }];
}

/** How surely both observations together name both ends: exactly without translation, through one without a doubt. */
function together(row: Flow | undefined, far: Confidence): Confidence {
  const [out, inbound] = [OUT, IN].map((direction) => row?.views.find((view) => view.direction === direction));
  const same = text(out?.localIp) === text(inbound?.remoteIp) && text(out?.remoteIp) === text(inbound?.localIp);
  return same ? EXACT : far === TAGGED ? TAGGED : MAPPED;
}

function word(name: string): string {
  return name.slice(name.indexOf('_') + 1).toLowerCase();
}
