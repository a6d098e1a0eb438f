// What a cell of the NAT matrix is, how it is exchanged, and how the one record of its connection is put into words (nat-expected.ts has
// the words that are wanted).
import { formatAddress, mappedAddress } from '@ringfence/proto/address.js';
import {
  Confidence,
  confidenceToJSON,
  Direction,
  type Verdict,
  verdictToJSON,
} from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Fleet } from '../src/fleet.js';
import type { Place } from '../src/place.js';

export type Family = 'v4' | 'v6';
export type CellProtocol = 'tcp' | 'udp' | 'ping';

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
  /** The source's address and port as the server's host sees them must be so. */
  readonly source?: ((ip: string, port: number) => boolean) | undefined;
}

/** What is between the two ends. */
export interface Row {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Added to published ports on the way. */
  readonly outside?: number;
  /** Reached by published ports, not by the service's own. */
  readonly published: boolean;
  /** Machines have other ports. Default: as clients. */
  readonly machine?: boolean;
  /** So has what is open to everybody. */
  readonly anybody?: boolean;
  readonly family?: Family;
  /** How the source looks to the server. */
  readonly source?: (ip: string, port: number) => boolean;
}

/** Whose own processes are watched, not enforced. */
const WATCHED: ReadonlySet<string> = new Set(['alpha', 'beta', 'gamma', 'printer', 'outsider']);

/** TCP and UDP, allowed on the first port, denied on the second. */
export function exchangesOf(row: Row): Cell[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) => pair(row, protocol, row.family ?? 'v4'));
}

function pair(row: Row, protocol: 'tcp' | 'udp', family: Family): Cell[] {
  const [client, bad, machine, anybody] = protocol === 'tcp' ? [80, 81, 82, 84] : [53, 54, 55, 56];
  const good = row.machine ? machine : row.anybody ? anybody : client;
  const outside = (port: number) => (row.published ? 8000 + port + (row.outside ?? 0) : port);
  const { from, to, address, source } = row;
  const title = (what: string) => `${row.name}, ${protocol} ${family}, ${what}`;
  const cell = (port: number, what: string, allowed: boolean): Cell => ({
    ...{ name: title(what), from, to, protocol, family, address, source, allowed },
    ...{ port: outside(port), servicePort: port },
  });
  return [
    cell(good, 'allowed', true),
    cell(bad, WATCHED.has(from) ? 'denied by the server' : 'denied by the client', false),
  ];
}

/** ICMP has no ports: who may and who may not are two sources. */
export interface PingRow extends Omit<Row, 'published' | 'machine' | 'outside'> {
  /** Its own host refuses it. */
  readonly denied: string;
}

export function pingsOf({ name, from, denied, to, address, family = 'v4' }: PingRow): Cell[] {
  const servicePort = (family === 'v4' ? 8 : 128) * 256;
  const cell = { to, protocol: 'ping', family, address, port: 0, servicePort } as const;
  const title = (what: string) => `${name}, icmp ${family}, ${what}`;
  return [
    { ...cell, name: title('allowed'), from, allowed: true },
    { ...cell, name: title('denied by the client'), from: denied, allowed: false },
  ];
}

const IN = Direction.DIRECTION_INBOUND;
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
      Number(flow.firstSeenUs) >= beginUs - CLOCK_US &&
      Number(flow.firstSeenUs) <= endUs + CLOCK_US &&
      // Cells follow each other closely: others' records are told by their names, those that name nobody may be of this one.
      [cell.from, ''].includes(flow.source?.workloadName ?? '') &&
      [cell.to, ''].includes(flow.destination?.workloadName ?? ''),
  );
}

/**
 * What is wrong with a cell, one line each: how the exchange ended, that its connection is exactly one record, and that this says what is
 * wanted of it.
 */
export function problemsOf(
  flows: readonly Flow[],
  cell: Cell,
  exchanged: Exchange,
  wanted: string | undefined,
): string[] {
  const problems = exchanged.ok === cell.allowed ? [] : [`exchange ${exchanged.ok ? 'went through' : 'failed'}`];
  const rows = rowsOf(flows, cell, exchanged);
  if (rows.length !== 1 || rows.some((row) => told(row) !== wanted))
    problems.push(...rows.map((row) => `found  ${told(row)}  (${ends(row)})`), `wanted ${wanted}`);
  const far = rows[0]?.views.find(({ direction }) => direction === IN);
  if (cell.source !== undefined && far !== undefined && !cell.source(text(far.remoteIp), far.remotePort))
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

/**
 * A record in words: `source → destination verdict confidence | what each end that reported saw`. Nobody is `?`. What one end saw of an
 * inbound source that the translating host told of is `shared` here: it may be told after the record, and then the two together are named.
 */
export function told({ source, destination, verdict, confidence, views, direction }: Flow): string {
  const name = (end: { workloadName: string } | undefined) => end?.workloadName || '?';
  const one = [{ direction, verdict, confidence }];
  const seen = (views.length === 0 ? one : views).map((view) => {
    const early = view.direction === IN && view.confidence === Confidence.CONFIDENCE_MAPPED;
    const known = early ? Confidence.CONFIDENCE_SHARED : view.confidence;
    return `${view.direction === IN ? 'in' : 'out'} ${verdictWord(view.verdict)} ${confidenceWord(known)}`;
  });
  return `${name(source)} → ${name(destination)} ${verdictWord(verdict)} ${confidenceWord(confidence)} | ${seen.join(', ')}`;
}

const verdictWord = (verdict: Verdict) => word(verdictToJSON(verdict));
const confidenceWord = (confidence: Confidence) => word(confidenceToJSON(confidence));

function word(name: string): string {
  return name.slice(name.indexOf('_') + 1).toLowerCase();
}
