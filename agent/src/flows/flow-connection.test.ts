import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlowUploadService } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import { expect, it } from 'vitest';
import { ControllerChannel } from '../control/controller-channel.js';
import { checkCredentials, writeCredentials } from '../control/credentials.js';
import { makeAuthority } from '../testing/test-authority.js';
import { runFlowConnection } from './flow-connection.js';
import { FlowSpool } from './spool.js';
import { FlowUploader } from './uploader.js';

it('runFlowConnection leaves nothing on the signal of the agent, however often it connects', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rfag-flowconn-'));
  const authority = await makeAuthority('ca');
  const upload = (stream: { end(): void }) => stream.end();
  const { server, address } = await authority.serve([[FlowUploadService, { upload }]], true);
  try {
    const { keyPem, certificatePem } = await authority.host('h1');
    writeCredentials(directory, checkCredentials('h1', address, keyPem, certificatePem, authority.pem));
    const run = 'ab'.repeat(16);
    const spool = new FlowSpool({ directory: join(directory, 'spool'), bytesMax: 1 << 20 }, run);
    const uploader = new FlowUploader({ run, window: 4, memoryBatches: 4 }, spool);
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i += 1) {
      const ended = runFlowConnection(new ControllerChannel(directory, address), uploader, () => {}, signal);
      await expect(ended).rejects.toMatchObject({ code: 'RF_STREAM' });
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    }
  } finally {
    server.forceShutdown();
    rmSync(directory, { recursive: true, force: true });
  }
});
