// FlowUploadMessage as it comes, without a copy of its columns: the generated decoder copies each of them. The columns of what this
// gives are views of the message's own bytes, valid as long as nobody writes there; they may begin at any address.
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { FlowColumns, FlowUploadMessage } from '@ringfence/proto/gen/ringfence/v1/flows.js';

const BYTES = 2;

/** Column by field number, as in flows.proto. */
const COLUMNS: Readonly<Record<number, Exclude<keyof FlowColumns, 'count' | 'strings'>>> = {
  3: 'firstSeenUs',
  4: 'lastSeenUs',
  5: 'localIp',
  6: 'remoteIp',
  7: 'localPort',
  8: 'remotePort',
  9: 'protocol',
  10: 'direction',
  11: 'verdict',
  12: 'reason',
  13: 'mode',
  14: 'kind',
  15: 'tcpFlags',
  16: 'confidence',
  17: 'rule',
  18: 'policyVersion',
  19: 'localIdentity',
  20: 'remoteIdentity',
  21: 'bytesIn',
  22: 'bytesOut',
  23: 'packetsIn',
  24: 'packetsOut',
  25: 'attempts',
  26: 'pid',
  27: 'workloadRef',
  28: 'processRef',
  29: 'servicePort',
};

/** Field number of FlowUploadMessage.flows. */
const FLOWS = 3;

/** Reads one message; says the same as FlowUploadMessage.decode. Throws for bytes that are no message. */
export function decodeUpload(message: Uint8Array): FlowUploadMessage {
  const reader = new BinaryReader(message);
  /** What is not records: little, and read by the generated code. */
  const rest: Uint8Array[] = [];
  let flows: FlowColumns | undefined;
  while (reader.pos < reader.len) {
    const from = reader.pos;
    const [field, type] = reader.tag();
    if (field === FLOWS && type === BYTES) flows = columnsOf(viewOf(reader, message));
    else {
      reader.skip(type, field);
      rest.push(message.subarray(from, reader.pos));
    }
  }
  return { ...FlowUploadMessage.decode(Buffer.concat(rest)), flows };
}

function columnsOf(bytes: Buffer): FlowColumns {
  const reader = new BinaryReader(bytes);
  const columns = FlowColumns.create();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const name = type === BYTES ? COLUMNS[field] : undefined;
    if (name !== undefined) columns[name] = viewOf(reader, bytes);
    else if (field === 1 && type === 0) columns.count = reader.uint32();
    else if (field === 2 && type === BYTES) columns.strings.push(reader.string());
    else reader.skip(type, field);
  }
  return columns;
}

/** The next field's bytes where they lie. */
function viewOf(reader: BinaryReader, bytes: Uint8Array): Buffer {
  const length = reader.uint32();
  const start = reader.pos;
  const end = start + length;
  if (end > reader.len)
    throw new RangeError(
      `Cannot read a flow message: found ${length} bytes announced, wanted at most ${reader.len - start}`,
    );
  reader.pos = end;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, length);
}
