// Calls of the admin API from the browser: gRPC-Web over fetch, to the server that served the page.
import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';

/** A call that failed: a gRPC status, a stable code, one sentence for people. */
export class CallError extends Error {
  override readonly name = 'CallError';
  constructor(
    /** gRPC status; 14 (UNAVAILABLE) when the controller could not be reached. */
    readonly status: number,
    /** RF_…; empty when there is none. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export const UNAVAILABLE = 14;
export const UNAUTHENTICATED = 16;

const TYPE = 'application/grpc-web+proto';
const HEADER = 5;
const TRAILER_FLAG = 0x80;
const RESOURCE_EXHAUSTED = 8;

/** Called when the server says that nobody is signed in any more. */
let onSignedOut = () => {};
/** Sessions that began or ended in this tab. A call of an earlier one says nothing of this one. */
let sessions = 0;

export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/** Somebody signed in or out here: what is still on its way belongs to the session before. */
export function sessionChanged(): void {
  sessions += 1;
}

/** One call with its one answer. Throws CallError; an abort throws the signal's reason. */
export async function call<M extends DescMethodUnary>(
  method: M,
  request: MessageInitShape<M['input']>,
  signal?: AbortSignal,
): Promise<MessageShape<M['output']>> {
  const response = await send(method, request, signal);
  const frames = new Frames();
  const bytes = await response.arrayBuffer().catch((error: unknown) => {
    throw unreachable(error);
  });
  frames.push(new Uint8Array(bytes));
  let answer: MessageShape<M['output']> | undefined;
  for (const { flag, payload } of frames.take()) {
    if (flag & TRAILER_FLAG) throwUnlessOk(payload);
    else answer = fromBinary(method.output, payload) as MessageShape<M['output']>;
  }
  if (answer === undefined) throw new CallError(UNAVAILABLE, '', 'Cannot read the answer: it was cut short');
  return answer;
}

/** Messages as they come, until the server ends; leaving the loop ends the call. Throws CallError. */
export async function* follow<M extends DescMethodServerStreaming>(
  method: M,
  request: MessageInitShape<M['input']>,
  signal: AbortSignal,
): AsyncGenerator<MessageShape<M['output']>> {
  const response = await send(method, request, signal);
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  const frames = new Frames();
  try {
    for (;;) {
      const { done, value } = await read(reader);
      if (value !== undefined) frames.push(value);
      for (const { flag, payload } of frames.take()) {
        if (flag & TRAILER_FLAG) {
          throwUnlessOk(payload);
          return;
        }
        yield fromBinary(method.output, payload) as MessageShape<M['output']>;
      }
      if (done) throw new CallError(UNAVAILABLE, '', 'Cannot go on: the connection to the controller ended');
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>) {
  try {
    return await reader.read();
  } catch (error) {
    throw unreachable(error);
  }
}

async function send(
  method: DescMethodUnary | DescMethodServerStreaming,
  request: MessageInitShape<DescMethodUnary['input']>,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const message = toBinary(method.input, create(method.input, request));
  const body = new Uint8Array(HEADER + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, HEADER);
  const session = sessions;
  const name = `${method.name.charAt(0).toUpperCase()}${method.name.slice(1)}`;
  let response: Response;
  try {
    response = await fetch(`/api/${method.parent.typeName}/${name}`, {
      method: 'POST',
      headers: { 'content-type': TYPE },
      body,
      credentials: 'same-origin',
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    throw unreachable(error);
  }
  if (response.ok) return response;
  const { code = '', message: told = response.statusText } = await errorBody(response);
  if (response.status === 401 && session === sessions) onSignedOut();
  throw new CallError(statusOf(response.status), code, told);
}

function unreachable(error: unknown): unknown {
  if (error instanceof DOMException && error.name === 'AbortError') return error;
  return new CallError(UNAVAILABLE, 'RF_WEB_UNREACHABLE', 'Cannot reach the controller: no answer');
}

export async function errorBody(response: Response): Promise<{ code?: string; message?: string }> {
  try {
    return (await response.json()) as { code?: string; message?: string };
  } catch {
    return {};
  }
}

function statusOf(http: number): number {
  if (http === 401) return UNAUTHENTICATED;
  return http === 429 ? RESOURCE_EXHAUSTED : UNAVAILABLE;
}

/** Reads the status at the end of an answer. */
function throwUnlessOk(payload: Uint8Array): void {
  const lines = new TextDecoder().decode(payload).split('\r\n');
  const fields = new Map(lines.map((line) => [line.split(': ', 1)[0] ?? '', line.slice(line.indexOf(': ') + 2)]));
  const status = Number(fields.get('grpc-status') ?? 0);
  if (status === 0) return;
  const text = decodeURIComponent(fields.get('grpc-message') ?? '');
  const code = fields.get('rf-code') ?? '';
  throw new CallError(status, code, text.startsWith(`${code}: `) ? text.slice(code.length + 2) : text);
}

/** Bytes as they come, frames as they are whole. */
class Frames {
  #bytes = new Uint8Array(0);

  push(more: Uint8Array): void {
    if (this.#bytes.length === 0) {
      this.#bytes = new Uint8Array(more);
      return;
    }
    const joined = new Uint8Array(this.#bytes.length + more.length);
    joined.set(this.#bytes);
    joined.set(more, this.#bytes.length);
    this.#bytes = joined;
  }

  *take(): Generator<{ flag: number; payload: Uint8Array }> {
    let at = 0;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    while (this.#bytes.length - at >= HEADER) {
      const length = view.getUint32(at + 1);
      if (this.#bytes.length - at < HEADER + length) break;
      const payload = this.#bytes.subarray(at + HEADER, at + HEADER + length);
      const flag = this.#bytes[at] ?? 0;
      at += HEADER + length;
      yield { flag, payload };
    }
    this.#bytes = this.#bytes.subarray(at);
  }
}
