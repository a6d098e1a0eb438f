// gRPC-Web on the wire: frames of one flag byte and a length, the last of them holding the status as header lines.
import { status as Status } from '@grpc/grpc-js';
import type { WireError } from '../api/errors.js';

export const GRPC_WEB_TYPE = 'application/grpc-web+proto';
const HEADER_BYTES = 5;
const TRAILER_FLAG = 0x80;

/** The message of a request that holds exactly one; undefined when the bytes are not that. */
export function oneMessage(body: Buffer): Buffer | undefined {
  if (body.length < HEADER_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - HEADER_BYTES)
    return undefined;
  return body.subarray(HEADER_BYTES);
}

export function messageFrame(message: Uint8Array): Buffer {
  return frame(0, message);
}

/** The end of every answer. */
export function statusFrame(error?: Partial<WireError>): Buffer {
  const lines = [`grpc-status: ${error?.code ?? Status.OK}`];
  if (error?.details !== undefined) lines.push(`grpc-message: ${encodeURIComponent(error.details)}`);
  const rfCode = error?.metadata?.get('rf-code')[0]?.toString();
  if (rfCode !== undefined) lines.push(`rf-code: ${rfCode}`);
  return frame(TRAILER_FLAG, Buffer.from(`${lines.join('\r\n')}\r\n`));
}

function frame(flag: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes[0] = flag;
  bytes.writeUInt32BE(payload.length, 1);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
