import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { mappedAddress, parseAddress } from '@ringfence/proto/address.js';
import { FlowColumns, FlowUploadClient, FlowUploadMessage } from '@ringfence/proto/gen/ringfence/v1/flows.js';

/** One blocked outbound connection as an agent would report it. */
export interface UploadedFlow {
  workloadId: string;
  local: string;
  remote: string;
  remotePort: number;
  process: string;
}

/** Uploads one record with the certificate that `ringfence enroll` put into `stateDir`; resolves when it is acknowledged. */
export function uploadFlow(stateDir: string, syncAddress: string, flow: UploadedFlow): Promise<void> {
  const pem = (name: string) => readFileSync(join(stateDir, name));
  const client = new FlowUploadClient(
    syncAddress,
    credentials.createSsl(pem('ca.pem'), pem('key.pem'), pem('cert.pem')),
    {
      'grpc.ssl_target_name_override': 'ringfence-controller',
    },
  );
  const call = client.upload();
  return new Promise<void>((resolve, reject) => {
    call.on('error', reject);
    call.on('data', () => resolve());
    call.write(FlowUploadMessage.fromPartial({ run: Buffer.alloc(16, 7), sequence: 1n, flows: columnsOf(flow) }));
  }).finally(() => {
    call.cancel();
    client.close();
  });
}

function columnsOf({ workloadId, local, remote, remotePort, process }: UploadedFlow): FlowColumns {
  const u8 = (value: number) => Buffer.from([value]);
  const u16 = (value: number) => Buffer.from(Uint16Array.of(value).buffer);
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: bigint) => Buffer.from(BigUint64Array.of(value).buffer);
  const ip = (text: string) => Buffer.from(mappedAddress(parseAddress(text) ?? new Uint8Array(4)));
  const nowUs = BigInt(Date.now()) * 1000n;
  return FlowColumns.fromPartial({
    count: 1,
    strings: ['', workloadId, process],
    firstSeenUs: u64(nowUs),
    lastSeenUs: u64(nowUs),
    localIp: ip(local),
    remoteIp: ip(remote),
    localPort: u16(40_000),
    remotePort: u16(remotePort),
    servicePort: u16(remotePort),
    protocol: u8(6),
    direction: u8(2),
    verdict: u8(2),
    reason: u8(3),
    mode: u8(2),
    kind: u8(5),
    tcpFlags: u8(2),
    confidence: u8(1),
    rule: u32(0),
    policyVersion: u32(1),
    localIdentity: u32(0),
    remoteIdentity: u32(0),
    bytesIn: u64(0n),
    bytesOut: u64(60n),
    packetsIn: u64(0n),
    packetsOut: u64(1n),
    attempts: u32(2),
    pid: u32(312),
    workloadRef: u32(1),
    processRef: u32(2),
  });
}
