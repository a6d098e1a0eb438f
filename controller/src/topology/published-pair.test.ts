// The published example of the asymmetric pair (docs/nat.md): a container behind host A may use a workload that nobody translates.
// The same rule is two instructions, each with the address that its host sees.
import { readFileSync } from 'node:fs';
import { formatAddress, parseAddress } from '@ringfence/proto/address.js';
import { decideCompiledShared } from '@ringfence/proto/policy-set.js';
import { describe, expect, it } from 'vitest';
import { createCompiler } from '../compile/graph.js';
import { HostMirror } from '../compile/testing/host-mirror.js';
import type { CompilerWorkload } from '../compile/types.js';
import { EMPTY_DOCUMENT } from '../policy/model.js';
import { resolvePolicy } from '../policy/parse.js';
import { identityNumbers, ruleNumbers } from '../policy/testing/numbers.js';

interface Instruction {
  readonly host: string;
  readonly workload: string;
  readonly direction: string;
  readonly local: string;
  readonly remote: string;
  readonly service: string;
  readonly action: string;
}

const published = JSON.parse(
  readFileSync(new URL('../../../docs/examples/asymmetric-pair.json', import.meta.url), 'utf8'),
) as { readonly symmetric: readonly Instruction[]; readonly asymmetric: readonly Instruction[] };

function workload(id: string, hostId: string, role: string, addresses: readonly (readonly [string, string])[]) {
  const made: CompilerWorkload = {
    id,
    hostId,
    localId: role === 'host' ? 'host' : `container:${id}`,
    labels: { role },
    addresses: addresses.map(([text, space]) => ({ space, address: parseAddress(text) ?? new Uint8Array(16) })),
    isolated: false,
    reject: true,
  };
  return made;
}

/** Every allowed pair of a local workload and a binding, as the two hosts hold them. */
function instructions(workloads: readonly CompilerWorkload[]): Instruction[] {
  const compiler = createCompiler({ identities: identityNumbers(), classes: identityNumbers(), quarantineMs: 0 });
  const rule = { id: 'a-uses-b', service: ['tcp/5432'], providedBy: 'role=b', usedBy: 'role=a' };
  compiler.setPolicy(resolvePolicy({ ...EMPTY_DOCUMENT, rules: [rule] }, ruleNumbers()), 1);
  for (const each of workloads) compiler.setWorkload(each);
  for (const host of ['A', 'B']) compiler.setHost(host);
  return compiler.flush().flatMap((delta) => {
    const mirror = new HostMirror();
    mirror.apply(delta);
    return [...mirror.assignments.values()].flatMap(({ workloadId, setIn, setOut }) => {
      const local = workloads.find(({ id }) => id === workloadId)?.addresses[0]?.address ?? new Uint8Array(16);
      return [...mirror.bindings.values()].flatMap(({ address }) =>
        (['outbound', 'inbound'] as const).flatMap((direction) => {
          const set = mirror.sets.get(direction === 'outbound' ? setOut : setIn);
          const entry = decideCompiledShared(set, mirror.candidates(address), 0, 6, 5432);
          if (entry?.allow !== true) return [];
          const [host, text, remote] = [delta.hostId, formatAddress(local), formatAddress(address)];
          const service = 'tcp/5432';
          return [{ host, workload: workloadId, direction, local: text, remote, service, action: 'allow' }];
        }),
      );
    });
  });
}

/** The lines that the page shows. */
function shown(): Instruction[] {
  const page = readFileSync(new URL('../../../docs/nat.md', import.meta.url), 'utf8');
  const lines = /## The published example[\s\S]*?```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  return lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Instruction);
}

describe('the published example', () => {
  const b = workload('b', 'B', 'b', [['192.0.2.20', '']]);

  it('of two workloads in one space, is a symmetric pair', () => {
    expect(instructions([workload('a', 'A', 'a', [['192.0.2.11', '']]), b])).toEqual(published.symmetric);
  });

  it('of a container behind its host, is an asymmetric pair', () => {
    const hostA = workload('host-a', 'A', 'host', [
      ['192.0.2.10', ''],
      ['172.17.0.1', 'local:bridge'],
    ]);
    const a = workload('a', 'A', 'a', [['172.17.0.2', 'local:bridge']]);
    expect(instructions([hostA, a, b])).toEqual(published.asymmetric);
    expect(shown()).toEqual(published.asymmetric);
  });
});
