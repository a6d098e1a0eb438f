// Declared spaces as people write them (YAML, `spaces:`) to a tree. All problems at once, each with its place; a tree only without.
import {
  type AddressPrefix,
  addressHex,
  formatAddress,
  formatPrefix,
  isIpv4,
  parseAddress,
  parsePrefix,
  prefixCovers,
} from '@ringfence/proto/address.js';
import { z } from 'zod';
import type { Path } from '../policy/end-shape.js';
import type { Place } from '../policy/yaml-source.js';
import { readYaml } from '../policy/yaml-source.js';
import { nat64Needs } from './nat64.js';
import { type DestinationMapping, LOCAL, type SourceTranslation, type Space, SpaceTree, WORLD } from './spaces.js';

/** What is wrong, and where. Codes: RF_SPACES_YAML, RF_SPACES_SHAPE, RF_SPACE_NAME, _PARENT, _CYCLE, _HOST, _OVERLAP, _ORPHAN, _NAT64. */
export interface SpaceProblem {
  readonly code: string;
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

export type Declared =
  | { readonly tree: SpaceTree; readonly problems: readonly [] }
  | { readonly tree: undefined; readonly problems: readonly SpaceProblem[] };

const SPACES_MAX = 10_000;
const NAME = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132, udplite: 136 } as const;

const address = z.string().transform((text, context) => {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: `found ${JSON.stringify(text)}, wanted an IPv4 or IPv6 address` });
  return z.NEVER;
});
const prefix = z.string().transform((text, context) => {
  const parsed = parsePrefix(text);
  if (!('problem' in parsed)) return parsed;
  context.addIssue({ code: 'custom', message: `found ${JSON.stringify(text)}, wanted a CIDR: ${parsed.problem}` });
  return z.NEVER;
});
const port = z.number().int().min(1).max(65_535);

const source = z.union([
  z.strictObject({ address, inside: prefix.optional() }),
  z.strictObject({ pool: z.array(address).min(1).max(256), inside: prefix.optional() }),
  // Known by name, and refused by name.
  z.strictObject({ nat64: z.unknown() }),
  z.strictObject({ oneToOne: z.strictObject({ inside: prefix, outside: prefix }) }),
  z.strictObject({ ports: z.strictObject({ inside: prefix, outside: address, low: port, high: port }) }),
]);
const destination = z.strictObject({
  protocol: z.enum(['tcp', 'udp', 'sctp', 'udplite']).default('tcp'),
  address,
  port,
  to: address,
  toPort: port.optional(),
});
const file = z.strictObject({
  spaces: z
    .array(
      z.strictObject({
        name: z.string(),
        parent: z.string().default(WORLD),
        hosts: z.array(z.string().min(1)).default([]),
        gateway: z.string().min(1).optional(),
        networks: z.array(prefix).default([]),
        source: z.array(source).default([]),
        destination: z.array(destination).max(4096).default([]),
      }),
    )
    .max(SPACES_MAX),
});

type Shape = z.infer<typeof file>['spaces'][number];

/** Reads one file. An empty list of spaces is the routed world alone. */
export function declareSpaces(name: string, text: string): Declared {
  const { documents, problems: syntax } = readYaml({ name, text });
  const [document, ...more] = documents;
  const problems: SpaceProblem[] = syntax.map(({ message, line, column }) => ({
    code: 'RF_SPACES_YAML',
    message,
    line,
    column,
  }));
  const placed = (code: string, message: string, path: Path, key = false) => {
    const at: Place | undefined = document?.locate(path, key);
    problems.push({ code, message, line: at?.line ?? 0, column: at?.column ?? 0 });
  };
  if (more.length > 0)
    placed('RF_SPACES_SHAPE', `Cannot read spaces: found ${documents.length} documents, wanted 1`, []);
  if (problems.length > 0 || document === undefined) {
    if (problems.length === 0) placed('RF_SPACES_SHAPE', 'Cannot read spaces: found an empty file, wanted spaces:', []);
    return { tree: undefined, problems };
  }
  const read = file.safeParse(document.value);
  if (!read.success) {
    for (const issue of read.error.issues) {
      const path = issue.path.filter((part) => typeof part !== 'symbol');
      placed('RF_SPACES_SHAPE', `Cannot read spaces at ${path.join('.') || 'the file'}: ${issue.message}`, path);
    }
    return { tree: undefined, problems };
  }
  checkTree(read.data.spaces, placed);
  if (problems.length > 0) return { tree: undefined, problems };
  return { tree: new SpaceTree(read.data.spaces.map(spaceOf)), problems: [] };
}

type Report = (code: string, message: string, path: Path, key?: boolean) => void;

function checkTree(spaces: readonly Shape[], report: Report): void {
  const byName = new Map<string, Shape>();
  const hosts = new Map<string, string>();
  spaces.forEach((space, at) => {
    const path = ['spaces', at, 'name'];
    if (!NAME.test(space.name) || space.name.startsWith(LOCAL)) {
      report(
        'RF_SPACE_NAME',
        `Cannot declare space ${JSON.stringify(space.name)}: found that name, wanted 1 to 63 of a-z, 0-9, dot, dash`,
        path,
      );
    } else if (byName.has(space.name)) {
      report('RF_SPACE_NAME', `Cannot declare space ${space.name}: found it twice, wanted each name once`, path);
    }
    byName.set(space.name, space);
    space.hosts.forEach((host, index) => {
      const other = hosts.get(host);
      if (other !== undefined) {
        report(
          'RF_SPACE_HOST',
          `Cannot put host ${host} into space ${space.name}: found it in ${other} too, wanted one space for a host`,
          ['spaces', at, 'hosts', index],
        );
      }
      hosts.set(host, space.name);
    });
  });
  spaces.forEach((space, at) => {
    if (space.parent !== WORLD && !byName.has(space.parent)) {
      report(
        'RF_SPACE_PARENT',
        `Cannot put space ${space.name} into ${space.parent}: found no such space, wanted a declared one or none`,
        ['spaces', at, 'parent'],
      );
    }
    const seen = [space.name];
    for (let up = byName.get(space.parent); up !== undefined; up = byName.get(up.parent)) {
      if (seen.includes(up.name)) {
        if (up.name === space.name) {
          const loop = [...seen, up.name].join(' in ');
          report('RF_SPACE_CYCLE', `Cannot nest spaces: found ${loop}, wanted a tree`, ['spaces', at, 'parent']);
        }
        break;
      }
      seen.push(up.name);
    }
    checkSpace(space, at, report);
    for (const { found, path } of nat64Needs(space)) {
      report(
        'RF_SPACE_NAT64',
        `Cannot translate space ${space.name}: found ${found}, wanted one family on both sides (NAT64 is not supported)`,
        ['spaces', at, ...path],
      );
    }
  });
  checkOutside(spaces, report);
}

/** Overlaps and orphans inside one space. */
function checkSpace(space: Shape, at: number, report: Report): void {
  const within = (inside: AddressPrefix) =>
    space.networks.length === 0 || space.networks.some((net) => net.length <= inside.length && covers(net, inside));
  const overlap = (what: string, one: AddressPrefix, other: AddressPrefix, path: Path) =>
    report(
      'RF_SPACE_OVERLAP',
      `Cannot translate space ${space.name}: found ${what} ${formatPrefix(one)} over ${formatPrefix(other)}, wanted each address once`,
      path,
    );
  const earlier: AddressPrefix[] = [];
  space.source.forEach((entry, index) => {
    if (!('oneToOne' in entry)) return;
    const { inside, outside } = entry.oneToOne;
    const path = ['spaces', at, 'source', index, 'oneToOne'];
    if (inside.length !== outside.length) {
      report(
        'RF_SPACE_OVERLAP',
        `Cannot translate ${formatPrefix(inside)} to ${formatPrefix(outside)}: found different sizes, wanted the same`,
        path,
      );
    }
    if (!within(inside)) {
      report(
        'RF_SPACE_ORPHAN',
        `Cannot translate ${formatPrefix(inside)} of space ${space.name}: found it in none of its networks`,
        [...path, 'inside'],
      );
    }
    for (const other of earlier) if (meets(other, inside)) overlap('one-to-one source', inside, other, path);
    earlier.push(inside);
  });
  const narrowed: AddressPrefix[] = [];
  space.source.forEach((entry, index) => {
    if ('oneToOne' in entry || 'ports' in entry || 'nat64' in entry || entry.inside === undefined) return;
    const { inside } = entry;
    const path = ['spaces', at, 'source', index, 'inside'];
    if (!within(inside)) {
      report(
        'RF_SPACE_ORPHAN',
        `Cannot translate ${formatPrefix(inside)} of space ${space.name}: found it in none of its networks`,
        path,
      );
    }
    for (const other of narrowed) if (meets(other, inside)) overlap('source', inside, other, path);
    narrowed.push(inside);
  });
  const blocks: { outside: string; low: number; high: number }[] = [];
  space.source.forEach((entry, index) => {
    if (!('ports' in entry)) return;
    const { outside, low, high } = entry.ports;
    const path = ['spaces', at, 'source', index, 'ports'];
    const hex = addressHex(outside);
    if (low > high) report('RF_SPACE_OVERLAP', `Cannot use ports ${low} to ${high}: wanted them ascending`, path);
    if (blocks.some((other) => other.outside === hex && other.low <= high && low <= other.high)) {
      report(
        'RF_SPACE_OVERLAP',
        `Cannot use ports ${low} to ${high} of ${formatAddress(outside)}: found some of them given away already`,
        path,
      );
    }
    blocks.push({ outside: hex, low, high });
  });
  const nets = space.networks;
  nets.forEach((net, index) => {
    const other = nets.slice(0, index).find((each) => meets(each, net));
    if (other !== undefined) overlap('network', net, other, ['spaces', at, 'networks', index]);
  });
  space.destination.forEach(({ to }, index) => {
    if (nets.length === 0 || nets.some((net) => prefixCovers(net, to))) return;
    report(
      'RF_SPACE_ORPHAN',
      `Cannot lead a mapping of space ${space.name} to ${formatAddress(to)}: found it in none of its networks`,
      ['spaces', at, 'destination', index, 'to'],
    );
  });
}

/** What two spaces use of the same space outside them. */
function checkOutside(spaces: readonly Shape[], report: Report): void {
  const taken = new Map<string, string>();
  const mapped = new Set<string>();
  const ranges = new Map<string, { readonly range: AddressPrefix; readonly by: string }[]>();
  spaces.forEach((space, at) => {
    space.source.forEach((entry, index) => {
      const path = ['spaces', at, 'source', index];
      const addresses = 'address' in entry ? [entry.address] : 'pool' in entry ? entry.pool : [];
      for (const each of addresses) {
        const key = `${space.parent}|${addressHex(each)}`;
        const other = taken.get(key);
        // Parts of one space may share an address.
        const parts = other === space.name && 'inside' in entry && entry.inside !== undefined;
        if (other !== undefined && !parts) {
          report(
            'RF_SPACE_OVERLAP',
            `Cannot let space ${space.name} leave as ${formatAddress(each)}: found ${other === space.name ? 'it given twice' : `space ${other} behind it`}, wanted each address once`,
            path,
          );
        }
        taken.set(key, space.name);
      }
      if (!('oneToOne' in entry)) return;
      const { outside } = entry.oneToOne;
      const others = ranges.get(space.parent) ?? [];
      const other = others.find(({ range }) => meets(range, outside));
      if (other !== undefined) {
        report(
          'RF_SPACE_OVERLAP',
          `Cannot let space ${space.name} leave as ${formatPrefix(outside)}: found ${formatPrefix(other.range)} of ${other.by}, wanted each address once`,
          path,
        );
      }
      ranges.set(space.parent, [...others, { range: outside, by: space.name }]);
    });
    space.destination.forEach((mapping, index) => {
      const key = `${space.parent}|${mapping.protocol}|${addressHex(mapping.address)}|${mapping.port}`;
      if (mapped.has(key)) {
        report(
          'RF_SPACE_OVERLAP',
          `Cannot map ${mapping.protocol}/${mapping.port} of ${formatAddress(mapping.address)}: found it mapped already, wanted one target`,
          ['spaces', at, 'destination', index],
        );
      }
      mapped.add(key);
    });
  });
}

function covers(outer: AddressPrefix, inner: AddressPrefix): boolean {
  return outer.length <= inner.length && prefixCovers(outer, inner.address);
}

function meets(a: AddressPrefix, b: AddressPrefix): boolean {
  return isIpv4(a.address) === isIpv4(b.address) && (covers(a, b) || covers(b, a));
}

function spaceOf({ name, parent, hosts, gateway, networks, source: sources, destination: destinations }: Shape): Space {
  return {
    name,
    parent,
    hosts,
    ...(gateway !== undefined && { gateway }),
    networks,
    sources: sources.flatMap((entry): SourceTranslation | [] => {
      if ('nat64' in entry) return [];
      if ('oneToOne' in entry) return { kind: 'one-to-one', ...entry.oneToOne };
      if ('ports' in entry) return { kind: 'ports', ...entry.ports };
      const { inside } = entry;
      return { kind: 'shared', addresses: 'pool' in entry ? entry.pool : [entry.address], ...(inside && { inside }) };
    }),
    destinations: destinations.map(
      (mapping): DestinationMapping => ({
        protocol: PROTOCOLS[mapping.protocol],
        address: mapping.address,
        port: mapping.port,
        to: mapping.to,
        toPort: mapping.toPort ?? mapping.port,
      }),
    ),
  };
}
