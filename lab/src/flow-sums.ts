// What flow records say of connections, added up, beside what applications did and what connection tracking counted.
import { Direction, type Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import type { Flow, FlowView } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { TrackedConnection } from './conntrack.js';
import type { Place } from './place.js';
import type { RandomConnection } from './traffic.js';

/** What one end's agent said of a connection, all records together. */
export interface Told {
  readonly verdicts: Set<Verdict>;
  attempts: number;
  packetsForward: number;
  packetsBack: number;
  bytesForward: number;
  bytesBack: number;
}

/** Whether records and connection tracking counted the same, both ways. */
export function same(told: Told, { forward, back }: TrackedConnection): boolean {
  return (
    told.bytesForward === forward.bytes &&
    told.packetsForward === forward.packets &&
    told.bytesBack === back.bytes &&
    told.packetsBack === back.packets
  );
}

/** Whether every record of it has this verdict. */
export function only({ verdicts }: Told, verdict: Verdict): boolean {
  return verdicts.size === 1 && verdicts.has(verdict);
}

/** Records added up by "<reporting host> <connection>": what each end saw, also where one row tells both views. */
export function toldBy(flows: readonly Flow[]): Map<string, Told> {
  const all = new Map<string, Told>();
  for (const flow of flows) {
    for (const view of viewsOf(flow)) {
      const key = `${view.reporterHostId} ${keyOfView(flow.protocol, view)}`;
      let told = all.get(key);
      if (told === undefined) {
        told = { verdicts: new Set(), attempts: 0, packetsForward: 0, packetsBack: 0, bytesForward: 0, bytesBack: 0 };
        all.set(key, told);
      }
      told.verdicts.add(view.verdict);
      told.attempts += flow.attempts;
      told.packetsForward += Number(view.packetsForward);
      told.packetsBack += Number(view.packetsBack);
      told.bytesForward += Number(view.bytesForward);
      told.bytesBack += Number(view.bytesBack);
    }
  }
  return all;
}

/** A record that one end alone reported is that end's view. */
function viewsOf(flow: Flow): readonly View[] {
  if (flow.views.length > 0) return flow.views;
  const inbound = flow.direction === Direction.DIRECTION_INBOUND;
  const [local, remote] = inbound ? [flow.destination, flow.source] : [flow.source, flow.destination];
  const none = Buffer.alloc(4);
  const ends = { localIp: local?.ip ?? none, localPort: local?.port ?? 0 };
  return [{ ...flow, ...ends, remoteIp: remote?.ip ?? none, remotePort: remote?.port ?? 0 }];
}

type View = Pick<
  FlowView,
  | 'direction'
  | 'reporterHostId'
  | 'verdict'
  | 'localIp'
  | 'localPort'
  | 'remoteIp'
  | 'remotePort'
  | 'bytesForward'
  | 'bytesBack'
  | 'packetsForward'
  | 'packetsBack'
>;

const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp' };

function keyOfView(protocol: number, { direction, localIp, localPort, remoteIp, remotePort }: View): string {
  const name = PROTOCOLS[protocol] ?? '';
  const [local, remote] = [textOf(localIp), textOf(remoteIp)];
  const inbound = direction === Direction.DIRECTION_INBOUND;
  // The identifier of an ICMP exchange is the local end's port, its type the remote one's, whoever asked.
  const ports = inbound && name !== 'icmp' ? [remotePort, localPort] : [localPort, remotePort];
  return inbound ? keyOf(name, remote, ports[0], local, ports[1]) : keyOf(name, local, ports[0], remote, ports[1]);
}

export function keyOfTracked({ proto, source, destination, sourcePort, destinationPort }: TrackedConnection): string {
  return keyOf(proto, full(source), sourcePort, full(destination), destinationPort);
}

export function keyOfMade({ proto, family, localPort, port }: RandomConnection, from: Place, to: Place): string {
  const address = ({ addresses }: Place) => full(family === 6 ? addresses.ip6 : addresses.ip4);
  const service = proto === 'icmp' ? (family === 6 ? 128 : 8) * 256 : port;
  return keyOf(proto, address(from), localPort, address(to), service);
}

function keyOf(proto: string, source: string, sourcePort = 0, destination: string, destinationPort = 0): string {
  return `${proto} ${source} ${sourcePort} > ${destination} ${destinationPort}`;
}

/** An address in one spelling. */
function full(text: string): string {
  if (!text.includes(':')) return text;
  const [head = '', tail] = text.split('::');
  const groups = (part: string | undefined) => (part ? part.split(':') : []);
  const [before, after] = [groups(head), groups(tail)];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: zeros }, () => '0'), ...after]
    .map((g) => Number.parseInt(g, 16))
    .join(':');
}

function textOf(ip: Buffer): string {
  if (ip.length === 4) return [...ip].join('.');
  return Array.from({ length: 8 }, (_, i) => ip.readUInt16BE(2 * i)).join(':');
}
