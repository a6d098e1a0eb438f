import type { PortRange } from '@ringfence/proto/gen/ringfence/v1/admin_common.js';
import { usageError } from '../errors.js';
import { hasPorts, hasTypes, parseProtocol, protocolNames } from '../views/protocol.js';

/** A whole number within bounds. Throws a usage error that names the option. */
export function parseWhole(text: string, option: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usageError(`Cannot read ${option}`, `found ${JSON.stringify(text)}`, `a whole number from ${min} to ${max}`);
}

/** Ports: "443", "8000-8080", several between commas. Throws a usage error. */
export function parsePorts(texts: readonly string[], option: string): PortRange[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => {
      const [, first, last] = /^\s*(\d{1,5})\s*(?:-\s*(\d{1,5}))?\s*$/.exec(text) ?? [];
      const low = Number(first ?? Number.NaN);
      const high = Number(last ?? first ?? Number.NaN);
      if (low <= high && high <= 65_535) return { low, high };
      throw usageError(
        `Cannot read ${option}`,
        `found ${JSON.stringify(text)}`,
        'a port or range within 0 to 65535: 443, 8000-8080',
      );
    });
}

/** IANA numbers of protocols by name or number, several between commas. Throws a usage error. */
export function parseProtocols(texts: readonly string[], option: string): number[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => {
      const protocol = parseProtocol(text.trim());
      if (protocol !== undefined) return protocol;
      throw usageError(
        `Cannot read ${option}`,
        `found ${JSON.stringify(text)}`,
        `${protocolNames.join(', ')} or a number 0 to 255`,
      );
    });
}

/** How a service is written, for help and errors. */
export const serviceSyntax = 'tcp/443 or 443/tcp, icmp/8 or icmp/8:0, protocol/47';

/** Protocol and port of one service; ICMP: type*256+code; protocols without services: port 0. Throws a usage error. */
export function parseService(text: string): { protocol: number; port: number } {
  const [left = '', right, ...more] = text.split('/');
  const wrong = () => usageError('Cannot read the service', `found ${JSON.stringify(text)}`, serviceSyntax);
  if (more.length > 0) throw wrong();
  if (left.toLowerCase() === 'protocol') {
    const protocol = parseProtocol(right ?? '');
    if (protocol === undefined || hasPorts(protocol)) throw wrong();
    return { protocol, port: 0 };
  }
  const leftIsPort =
    /^\d+$/.test(left) && right !== undefined && parseProtocol(right) !== undefined && !/^\d+$/.test(right);
  const protocol = parseProtocol(leftIsPort ? (right ?? '') : left);
  const service = leftIsPort ? left : right;
  if (protocol === undefined) throw wrong();
  if (hasPorts(protocol)) {
    const port = /^\d{1,5}$/.test(service ?? '') ? Number(service) : Number.NaN;
    if (port <= 65_535) return { protocol, port };
    throw wrong();
  }
  if (service === undefined) {
    if (hasTypes(protocol)) throw wrong();
    return { protocol, port: 0 };
  }
  const [, type, code] = /^(\d{1,3})(?::(\d{1,3}))?$/.exec(service) ?? [];
  const port = Number(type ?? Number.NaN) * 256 + Number(code ?? 0);
  if (!hasTypes(protocol) || !(Number(type) <= 255) || Number(code ?? 0) > 255) throw wrong();
  return { protocol, port };
}
