// Protocols and services as text: "tcp", "tcp/443", "icmp/8:0", "89".

const names: readonly (readonly [number, string])[] = [
  [1, 'icmp'],
  [2, 'igmp'],
  [4, 'ipip'],
  [6, 'tcp'],
  [17, 'udp'],
  [41, 'ipv6'],
  [47, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'icmpv6'],
  [89, 'ospf'],
  [112, 'vrrp'],
  [132, 'sctp'],
  [136, 'udplite'],
];
const byNumber = new Map(names);
const byName = new Map(names.map(([number, name]) => [name, number]));

/** Names that parseProtocol knows, for help and completion. */
export const protocolNames: readonly string[] = names.map(([, name]) => name);

/** Protocols whose service is a port. */
const withPorts = new Set([6, 17, 132, 136]);

/** Protocols whose service is type and code. */
const withTypes = new Set([1, 58]);

/** Name of an IANA protocol number, or the number as text. */
export function protocolText(protocol: number): string {
  return byNumber.get(protocol) ?? String(protocol);
}

/** IANA number of a name or of a decimal number 0 to 255; undefined for anything else. */
export function parseProtocol(text: string): number | undefined {
  const known = byName.get(text.toLowerCase());
  if (known !== undefined) return known;
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

/** True when the service of the protocol is a port. */
export function hasPorts(protocol: number): boolean {
  return withPorts.has(protocol);
}

/** True when the service of the protocol is an ICMP type and code. */
export function hasTypes(protocol: number): boolean {
  return withTypes.has(protocol);
}

/** "tcp/443"; "icmp/8:0" for type 8, code 0; "gre" for protocols without services. */
export function serviceText(protocol: number, port: number): string {
  const name = protocolText(protocol);
  if (hasTypes(protocol)) return `${name}/${port >> 8}:${port & 0xff}`;
  return hasPorts(protocol) ? `${name}/${port}` : name;
}
