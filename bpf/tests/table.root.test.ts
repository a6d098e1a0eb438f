// The readable table: every row through evaluate.ts and through the programs.
import type { CompilerWorkload } from '@ringfence/controller/compile/types.js';
import type { Tuple } from '@ringfence/controller/policy/evaluate.js';
import { resolvePolicy } from '@ringfence/controller/policy/parse.js';
import { parseAddress, prefixContains } from '@ringfence/proto/address.js';
import { Direction, Reason, Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DROP, PASS, TestKernel } from './kernel.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import { connection, isIcmpError, type Way, World } from './world.js';

const VERDICTS: Readonly<Record<string, Verdict>> = {
  allowed: Verdict.VERDICT_ALLOWED,
  blocked: Verdict.VERDICT_BLOCKED,
  'would-block': Verdict.VERDICT_WOULD_BLOCK,
};
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58, sctp: 132 };

interface Row {
  readonly text: string;
  readonly subject: string;
  readonly way: Way;
  readonly remote: string;
  /** Port of the end that opens; undefined: one that no other row has. */
  readonly client: number | undefined;
  readonly protocol: number;
  readonly port: number;
  readonly wanted: string;
}

function parseRow(line: string): Row {
  const text = line.trim().replace(/\s+/g, ' ');
  const [subject = '', way, from = '', service = '', verdict = '', reason = '', rule = ''] = text.split(' ');
  const [remote = '', client] = from.split('@');
  const [name = '', rest = '0'] = service.split('/');
  const icmp = name.startsWith('icmp');
  const [type = 0, code = 0] = rest.split(':').map(Number);
  return {
    text,
    subject,
    way: way === 'in' ? Direction.DIRECTION_INBOUND : Direction.DIRECTION_OUTBOUND,
    remote,
    client: client === undefined ? undefined : Number(client),
    protocol: name === 'protocol' ? Number(rest) : (PROTOCOLS[name] ?? Number.NaN),
    port: name === 'protocol' ? 0 : icmp ? type * 256 + code : type,
    wanted: `${VERDICTS[verdict]} ${reason} ${rule}`,
  };
}

const TABLE = SCENARIOS.map((scenario) => ({
  scenario,
  rows: scenario.rows.trim().split('\n').map(parseRow),
}));

let kernel: TestKernel;
beforeAll(() => {
  kernel = new TestKernel();
});
afterAll(() => kernel.close());

describe('table', () => {
  it('has at least 200 rows', () => {
    expect(TABLE.reduce((sum, { rows }) => sum + rows.length, 0)).toBeGreaterThanOrEqual(200);
  });

  it.each(TABLE.map(({ scenario, rows }) => [scenario.name, scenario, rows] as const))(
    '%s',
    async (_, scenario, rows) => {
      const numbers = new Map<string, number>();
      const numberOf = (id: string): number => numbers.get(id) ?? numbers.set(id, numbers.size + 1).size;
      const policy = resolvePolicy(scenario.document, { numberOf });
      const ids = new Map(policy.rules.map((rule) => [rule.number, rule.id]));
      const world = new World(kernel, policy, scenario.workloads, scenario);
      kernel.clearFlows();
      const meaning: string[] = [];
      const behaviour: string[] = [];
      let client = 30_000;
      for (const row of rows) {
        const subject = named(scenario, row.subject);
        const at = scenario.workloads.find((workload) => workload.id === row.remote)?.addresses[0]?.address;
        const tuple: Tuple = { protocol: row.protocol, port: row.port, remote: at ?? address(row.remote) };
        meaning.push(`${row.text}: ${meant(world, scenario, subject, tuple, row.way, ids)}`);

        world.enter(subject);
        const asked = connection(tuple, row.way, row.client ?? client++);
        const { retval } =
          row.way === Direction.DIRECTION_INBOUND ? kernel.receive(asked.opening) : kernel.send(asked.opening);
        const events = await kernel.events();
        const [event] = events;
        expect([row.text, events.length]).toEqual([row.text, 1]);
        if (!event) continue;
        behaviour.push(`${row.text}: ${event.verdict} ${reasonName(event.reason)} ${ids.get(event.rule) ?? '-'}`);
        expect([row.text, retval]).toEqual([row.text, event.verdict === Verdict.VERDICT_BLOCKED ? DROP : PASS]);
      }
      const wanted = rows.map((row) => `${row.text}: ${row.wanted}`);
      expect(meaning).toEqual(wanted);
      expect(behaviour).toEqual(wanted);
    },
  );
});

/** evaluate.ts, with what stands outside it: the failsafe table before, destination mappings beside. */
function meant(
  world: World,
  scenario: Scenario,
  subject: CompilerWorkload,
  tuple: Tuple,
  way: Way,
  ids: ReadonlyMap<number, string>,
): string {
  const safe = scenario.failsafes?.some(
    (entry) =>
      entry.direction === way &&
      entry.protocol === tuple.protocol &&
      (entry.port === 0 || entry.port === tuple.port) &&
      prefixContains(entry.remote, tuple.remote),
  );
  if (safe) return `${Verdict.VERDICT_ALLOWED} FAILSAFE -`;
  const decision = world.evaluate(subject, tuple, way);
  const unrelated = decision.reason === Reason.REASON_IMPLICIT_DENY && isIcmpError(tuple);
  const reason = unrelated ? 'ICMP_UNRELATED' : reasonName(decision.reason);
  return `${decision.verdict} ${reason} ${ids.get(decision.rule) ?? '-'}`;
}

function reasonName(reason: number): string {
  return Reason[reason]?.replace('REASON_', '') ?? String(reason);
}

function named(scenario: Scenario, id: string): CompilerWorkload {
  const found = scenario.workloads.find((workload) => workload.id === id);
  if (!found) throw new Error(`no workload ${id}`);
  return found;
}

function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (!parsed) throw new Error(`no address ${text}`);
  return parsed;
}
