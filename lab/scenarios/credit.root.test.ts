// Issue 3, must show 5: the example of spec 2.3 on real containers. role=creditCheck may use role=creditStatus; any two workloads with
// the same app may talk; nothing else may.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Verdict } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labels, type Name, names, ports, type Row, show, startCredit, tryAll } from '../examples/credit.js';
import type { Fleet } from '../src/fleet.js';
import { repository } from '../src/paths.js';
import type { Server } from '../src/place.js';
import { until } from '../src/until.js';

describe('docs/examples/credit', () => {
  const page = readFileSync(join(repository, 'docs', 'examples', 'credit.md'), 'utf8');
  const moved = { ...labels, visitor: { ...labels.visitor, app: 'lending' } };
  let fleet: Fleet;
  let servers: Map<Name, Server>;

  beforeAll(async () => {
    ({ fleet, servers } = await startCredit());
  });
  afterAll(() => fleet?.close());

  /** Connections that the servers accepted, by name: what really arrived. */
  async function accepted(): Promise<Map<Name, number>> {
    const counts = new Map<Name, number>();
    for (const [name, server] of servers) {
      counts.set(
        name,
        (await server.counts()).reduce((sum, port) => sum + port.accepted, 0),
      );
    }
    return counts;
  }

  /** Every row as wanted, for the client and for the server. */
  async function check(run: () => Promise<Row[]>): Promise<Row[]> {
    const before = await accepted();
    const rows = await run();
    expect(rows.length).toBe(names.length * (names.length - 1) * ports.length);
    expect(rows.filter(({ wanted, found }) => found.some((ok) => ok !== wanted))).toEqual([]);
    for (const [name, count] of await accepted()) {
      const wanted = rows.filter(({ to, wanted: ok }) => to === name && ok).length * 2;
      expect([name, count - (before.get(name) ?? 0)]).toEqual([name, wanted]);
    }
    return rows;
  }

  it('allows the pair of roles on its port and everybody of one app, and nothing else', async () => {
    const rows = await check(() => tryAll(fleet, labels));
    expect(rows.filter(({ wanted }) => wanted).length).toBe(9);
    expect(page).toContain(`\n${show(rows)}`);
  });

  it('a workload that joins an app may talk to it, without a change of policy', async () => {
    const before = await fleet.api.status();
    await fleet.label('visitor', { ...moved.visitor });
    await fleet.converged();
    const rows = await check(() => tryAll(fleet, moved));
    expect(rows.filter(({ wanted }) => wanted).length).toBe(17);
    expect(page).toContain(`\n${show(rows)}`);
    expect((await fleet.api.status()).policyVersion).toBe(before.policyVersion);
  });

  it('every connection is on record with the rule that decided it', async () => {
    const decided = async (from: Name, to: Name, port: number) =>
      (await fleet.api.flows())
        .filter((flow) => flow.source?.workloadName === from && flow.destination?.workloadName === to)
        .filter(({ servicePort }) => servicePort === port)
        .map(({ verdict, ruleId }) => `${Verdict[verdict]} ${ruleId}`.trim());
    for (const [from, to, port, wanted] of [
      ['check', 'status', 8443, 'VERDICT_ALLOWED credit-status'],
      ['check', 'lending-db', 9000, 'VERDICT_ALLOWED same-app'],
      ['check', 'status', 9000, 'VERDICT_BLOCKED'],
      ['status', 'check', 8443, 'VERDICT_BLOCKED'],
    ] as const) {
      await until(`a record of ${from} to ${to}`, async () => (await decided(from, to, port)).length > 0, {
        timeoutMs: 15_000,
      });
      expect(new Set(await decided(from, to, port))).toEqual(new Set([wanted]));
    }
  });
});
