import { readFile, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { dirname, isAbsolute, resolve } from 'node:path';
import { StatusService } from '@ringfence/proto/gen/ringfence/v1/admin_status.js';
import { allHosts } from '../api/hosts.js';
import { parseContext } from '../context/load.js';
import type { Invocation } from '../invocation.js';
import { duration } from '../text/time.js';
import { conditionText, stateText } from '../views/host.js';
import type { Check, Finding } from './check.js';

const soonMs = 14 * 86_400_000;

/** Checks of the way to the controller, each layer by itself, and of what the controller says. */
export function controllerChecks(invocation: Invocation): Check[] {
  const context = 'context';
  const controller = 'controller';
  return [
    { area: context, name: 'file', run: async () => [{ state: 'ok', found: (await invocation.context()).file }] },
    { area: context, name: 'certificate', run: async () => [await certificate(invocation)] },
    { area: context, name: 'key', run: async () => [await keyMode(invocation)] },
    { area: controller, name: 'network', run: async () => [await network(invocation)] },
    { area: controller, name: 'API', run: async () => [await api(invocation)] },
    { area: controller, name: 'conditions', run: () => conditions(invocation) },
    { area: controller, name: 'hosts', run: () => hosts(invocation) },
  ];
}

async function certificate(invocation: Invocation): Promise<Finding> {
  const { identity } = await invocation.context();
  const left = identity.notAfterMs - invocation.io.now();
  const found = `${identity.subject}, ends in ${duration(left)}`;
  if (left > soonMs) return { state: 'ok', found };
  return { state: 'warn', found, fix: 'get a fresh operator folder from the controller' };
}

async function keyMode(invocation: Invocation): Promise<Finding> {
  const { file } = await invocation.context();
  const { keyFile } = parseContext(file, await readFile(file, 'utf8'));
  const path = isAbsolute(keyFile) ? keyFile : resolve(dirname(file), keyFile);
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return { state: 'ok', found: `${path}, readable by its owner only` };
  return {
    state: 'warn',
    found: `${path} can be read by others (mode ${(mode & 0o777).toString(8)})`,
    fix: `chmod 600 ${path}`,
  };
}

async function network(invocation: Invocation): Promise<Finding> {
  const { address } = await invocation.context();
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const started = performance.now();
  let socket: Socket | undefined;
  try {
    await new Promise<void>((done, fail) => {
      socket = connect({ host, port: Number(address.slice(colon + 1)) });
      socket.setTimeout(Math.min(invocation.timeoutMs, 5000), () => fail(new Error('no answer')));
      socket.once('connect', () => done());
      socket.once('error', fail);
    });
    return { state: 'ok', found: `${address} answers in ${Math.round(performance.now() - started)} ms` };
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    return {
      state: 'fail',
      found: `${address}: ${why}`,
      fix: 'start the controller, or correct "address" in the context file, routes, or firewalls',
    };
  } finally {
    socket?.destroy();
  }
}

async function api(invocation: Invocation): Promise<Finding> {
  const connection = await invocation.connect();
  const status = await connection.call('read the status', StatusService.get, {});
  const up = duration(invocation.io.now() - Number(status.startedMs));
  return {
    state: 'ok',
    found: `controller ${status.controllerVersion}, up for ${up}, policy version ${status.policyVersion || 'none'}`,
  };
}

async function conditions(invocation: Invocation): Promise<Finding[]> {
  const connection = await invocation.connect();
  const status = await connection.call('read the status', StatusService.get, {});
  const findings = status.conditions.map((condition): Finding => {
    const found = conditionText(condition);
    if (condition.severity === 'info') return { state: 'info', found };
    return {
      state: condition.severity === 'alarm' ? 'fail' : 'warn',
      found,
      fix: condition.text || 'ringfence status',
    };
  });
  return findings.length > 0 ? findings : [{ state: 'ok', found: 'none stands' }];
}

async function hosts(invocation: Invocation): Promise<Finding[]> {
  const connection = await invocation.connect();
  const all = await allHosts(connection, 'list hosts');
  const findings = all.flatMap((host): Finding[] => {
    const state = stateText(host);
    const fix = `ringfence host show ${host.id}`;
    if (state === 'refused')
      return [{ state: 'fail', found: `${host.id} refuses a revision: ${host.nack?.message ?? ''}`, fix }];
    if (state === 'away')
      return [{ state: 'warn', found: `${host.id} is away`, fix: `see that its agent runs; ${fix}` }];
    return state === 'behind' ? [{ state: 'warn', found: `${host.id} is behind`, fix }] : [];
  });
  if (all.length === 0) return [{ state: 'info', found: 'no hosts yet' }];
  return findings.length > 0 ? findings : [{ state: 'ok', found: `${all.length}, none away, behind or refusing` }];
}
