// Prometheus metrics over plain HTTP, for a scraper on the same machine.

import { Reason, reasonToJSON, type Verdict, verdictToJSON } from '@ringfence/proto/gen/ringfence/v1/common.js';
import Fastify from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ListenAddress } from '../config.js';
import { type StatusOptions, systemStatus } from './status-service.js';

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves GET /metrics. */
export async function serveMetrics(listen: ListenAddress, options: StatusOptions): Promise<MetricsServer> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `ringfence_${name}`, help, labelNames, registers: [registry] });
  const hosts = gauge('hosts', 'Hosts by standing', ['standing']);
  const workloads = gauge('workloads', 'Workloads by standing', ['standing']);
  const policyVersion = gauge('policy_version', 'Policy version in force');
  const flowsTotal = gauge('flow_records_total', 'Flow records taken, by verdict', ['verdict']);
  const reasonsTotal = gauge('flow_reasons_total', 'Flow records taken, by reason', ['reason']);
  const lossTotal = gauge('flow_loss_total', 'Flow events and records lost, by hop', ['hop']);
  const stitching = gauge('flow_stitching', "Flow records whose two ends' views are brought together, by outcome", [
    'what',
  ]);
  const followers = gauge('flow_followers', 'Live tails open');
  const translations = gauge('translations', 'Translated connections that hosts told of, by what became of them', [
    'what',
  ]);
  const conditions = gauge('conditions', 'Conditions that an operator should see, by severity', ['severity']);
  const storeBytes = gauge('store_bytes', 'Bytes of the store on disk');
  const storeHealthy = gauge('store_healthy', '1 while the store can be written');
  const flowStoreBytes = gauge('flow_store_bytes', 'Bytes of the flow store on disk');
  const flowStoreRecords = gauge('flow_store_records', 'Flow records kept');
  const flowStorePending = gauge('flow_store_pending_records', 'Flow records taken and not stored yet');
  const flowStoreHealthy = gauge('flow_store_healthy', '1 while flow records can be stored');
  const hostTables = gauge('host_table_fill_max', 'Fullest kernel table of that name over all hosts, 0 to 1', [
    'table',
  ]);
  const policyLatency = new Histogram({
    name: 'ringfence_policy_latency_seconds',
    help: 'From provisioning a version to the acknowledgement of a host',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers: [registry],
  });
  options.hosts.policyLatency.onMeasured = (seconds) => policyLatency.observe(seconds);

  const fastify = Fastify({ logger: false });
  fastify.get('/metrics', async (_request, reply) => {
    const status = systemStatus(options);
    hosts.set({ standing: 'known' }, status.hosts);
    hosts.set({ standing: 'connected' }, status.hostsConnected);
    hosts.set({ standing: 'current' }, status.hostsCurrent);
    workloads.set({ standing: 'present' }, status.workloads);
    workloads.set({ standing: 'unmanaged' }, status.workloadsUnmanaged);
    workloads.set({ standing: 'not_in_force' }, status.workloadsNotInForce);
    policyVersion.set(status.policyVersion);
    status.flows?.byVerdict.forEach((count, n) => {
      flowsTotal.set({ verdict: nameOf(verdictToJSON(n as Verdict), 'VERDICT_') }, Number(count));
    });
    status.flows?.byReason.forEach((count, n) => {
      if (Reason[n] !== undefined)
        reasonsTotal.set({ reason: nameOf(reasonToJSON(n as Reason), 'REASON_') }, Number(count));
    });
    const { loss } = status.flows ?? {};
    lossTotal.set({ hop: 'ring' }, Number(loss?.ringDropped ?? 0n));
    lossTotal.set({ hop: 'deny_ring' }, Number(loss?.deniesRingDropped ?? 0n));
    lossTotal.set({ hop: 'agent' }, Number(loss?.agentDropped ?? 0n));
    lossTotal.set({ hop: 'spool' }, Number(loss?.spoolDropped ?? 0n));
    lossTotal.set({ hop: 'refused' }, Number(loss?.recordsRefused ?? 0n));
    lossTotal.set({ hop: 'store' }, Number(status.flows?.storeLost ?? 0n));
    lossTotal.set({ hop: 'history' }, Number(status.flows?.historyDropped ?? 0n));
    lossTotal.set({ hop: 'subscriber' }, Number(status.flows?.followerDropped ?? 0n));
    for (const [what, count] of Object.entries(options.ingest.stitching)) stitching.set({ what }, count);
    const flowStore = options.archive.status();
    flowStoreBytes.set(flowStore.bytes);
    flowStoreRecords.set(flowStore.kept);
    flowStorePending.set(options.archive.pending);
    flowStoreHealthy.set(flowStore.problem === '' ? 1 : 0);
    hostTables.reset();
    for (const [table, fill] of fullestTables(options)) hostTables.set({ table }, fill);
    followers.set(status.flows?.followers ?? 0);
    for (const [what, count] of Object.entries(options.translations?.() ?? {}))
      translations.set({ what: what.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) }, Number(count));
    for (const severity of ['alarm', 'warning', 'info']) {
      conditions.set({ severity }, status.conditions.filter((condition) => condition.severity === severity).length);
    }
    storeBytes.set(Number(status.store?.bytes ?? 0n));
    storeHealthy.set(status.store?.healthy ? 1 : 0);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  await fastify.listen({ host: listen.host, port: listen.port });
  const address = fastify.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    close: () => fastify.close(),
  };
}

/** By table, the fill of the host where it is fullest. */
function fullestTables({ hosts }: StatusOptions): Map<string, number> {
  const fullest = new Map<string, number>();
  for (const { tables } of hosts.all()) {
    for (const { table, entries, entriesMax } of tables) {
      const fill = entriesMax === 0 ? 0 : entries / entriesMax;
      fullest.set(table, Math.max(fullest.get(table) ?? 0, fill));
    }
  }
  return fullest;
}

function nameOf(text: string, prefix: string): string {
  return text.replace(prefix, '').toLowerCase();
}
