import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import {
  type AgentMessage,
  AgentStatus,
  AgentSyncService,
  type ControllerMessage,
  Hello,
  Inventory,
  Update,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { emptyInstructions, type Instructions } from '../desired/instructions.js';
import { makeAuthority, type TestAuthority } from '../testing/test-authority.js';
import { ControllerChannel } from './controller-channel.js';
import { checkCredentials, writeCredentials } from './credentials.js';
import { runSyncConnection } from './sync-connection.js';
import type { SyncSession } from './sync-session.js';

const directory = mkdtempSync(join(tmpdir(), 'rfag-sync-'));
let authority: TestAuthority;
let server: Server;
let address: string;
let serve: (stream: ServerDuplexStream<AgentMessage, ControllerMessage>) => void;

beforeAll(async () => {
  authority = await makeAuthority('ca');
  const sync = (stream: ServerDuplexStream<AgentMessage, ControllerMessage>) => serve(stream);
  ({ server, address } = await authority.serve([[AgentSyncService, { sync }]], true));
  await enrolled('mine', authority);
});
afterAll(() => {
  server.forceShutdown();
  rmSync(directory, { recursive: true, force: true });
});

async function enrolled(name: string, by: TestAuthority, ca = by): Promise<string> {
  const { keyPem, certificatePem } = await by.host('h1');
  const stateDir = join(directory, name);
  const whole = checkCredentials('h1', address, keyPem, certificatePem, by.pem);
  writeCredentials(stateDir, { ...whole, caPem: ca.pem });
  return stateDir;
}

function connect(stateDir: string, signal = new AbortController()) {
  let inForce: Instructions = emptyInstructions();
  const established = vi.fn();
  const sessions: boolean[] = [];
  let current: SyncSession | undefined;
  const ended = runSyncConnection(
    new ControllerChannel(stateDir, address),
    {
      hello: () => Hello.create({ protocol: 1 }),
      inventory: () => Inventory.create({ full: true }),
      logins: () => undefined,
      onPairAgain: () => {},
      onUnenroll: async () => {},
      status: () => AgentStatus.create({}),
      inForce: () => inForce,
      apply: async (next) => {
        inForce = next;
        return { kind: 'ok' };
      },
      onWelcome: () => {},
      onSession: (session) => {
        sessions.push(session !== undefined);
        current = session;
      },
    },
    established,
    signal.signal,
  );
  return { ended, established, sessions, signal, session: () => current };
}

describe('runSyncConnection', () => {
  it('speaks the protocol over mutual TLS and ends when told to', async () => {
    const heard: string[] = [];
    const acked = new Promise<void>((resolve) => {
      serve = (stream) => {
        stream.on('error', () => {});
        stream.on('data', (message: AgentMessage) => {
          heard.push(message.body?.$case ?? '?');
          if (message.body?.$case === 'hello') {
            stream.write({ body: { $case: 'welcome', value: { hostId: 'h1', epoch: 'e', resumed: false } } });
            stream.write({ body: { $case: 'update', value: Update.create({ revision: 1n, full: true, more: true }) } });
            stream.write({ body: { $case: 'update', value: Update.create({ revision: 1n }) } });
          }
          if (message.body?.$case === 'ack') resolve();
        });
      };
    });
    const { ended, established, sessions, signal } = connect(join(directory, 'mine'));
    await acked;
    expect(heard).toEqual(['hello', 'inventory', 'status', 'ack']);
    expect(established).toHaveBeenCalledOnce();
    signal.abort();
    await expect(ended).rejects.toThrow(/Cancelled/);
    expect(sessions).toEqual([true, false]);
  });

  it('ends with an error when the controller ends the stream or breaks the protocol', async () => {
    serve = (stream) => stream.end();
    await expect(connect(join(directory, 'mine')).ended).rejects.toMatchObject({ code: 'RF_STREAM' });
    serve = (stream) => {
      stream.on('error', () => {});
      stream.write({ body: { $case: 'update', value: Update.create({ revision: 1n }) } });
    };
    await expect(connect(join(directory, 'mine')).ended).rejects.toThrow(/wanted Welcome first/);
  });

  it('holds one status at most for a controller that does not read, and ends when other messages pile up', async () => {
    serve = (stream) => {
      stream.on('error', () => {});
      stream.write({ body: { $case: 'welcome', value: { hostId: 'h1', epoch: 'e', resumed: true } } });
    };
    const { ended, session } = connect(join(directory, 'mine'));
    const end = vi.fn();
    ended.catch(end);
    const deadline = { timeout: 30_000, interval: 10 };
    await vi.waitFor(() => expect(session()?.open).toBe(true), deadline);
    const name = 'n'.repeat(4000);
    const long = AgentStatus.create({ conditions: [{ code: name, severity: '', title: '', text: '', sinceMs: 0n }] });
    for (let i = 0; i < 10_000; i += 1) session()?.sendStatus(long);
    const delta = Inventory.create({ removed: [name] });
    await vi.waitFor(() => {
      for (let i = 0; i < 100; i += 1) session()?.sendInventory(delta);
      expect(end).toHaveBeenCalled();
    }, deadline);
    await expect(ended).rejects.toThrow(/found 1025 messages that it does not read/);
  });

  it('does not show a certificate of a foreign authority, and refuses a controller of one', async () => {
    const foreign = await makeAuthority('foreign');
    const reached = vi.fn();
    serve = reached;
    const { ended: asStranger } = connect(await enrolled('stranger', foreign, authority));
    await expect(asStranger).rejects.toThrow(/another authority signed it, wanted the one in ca.pem/);
    const { ended: toStranger } = connect(await enrolled('misled', foreign));
    await expect(toStranger).rejects.toThrow(/UNAVAILABLE/);
    expect(reached).not.toHaveBeenCalled();
  });

  it('says that the host is not enrolled', async () => {
    await expect(connect(join(directory, 'nobody')).ended).rejects.toMatchObject({ code: 'RF_CREDENTIALS' });
  });
});
