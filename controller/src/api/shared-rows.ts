// Rows of live tails, made and encoded once for all who follow: most of them want the same newest records.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { FlowStreamMessage, FlowsService } from '@ringfence/proto/gen/ringfence/v1/admin_flows.js';
import { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { FlowBlock } from '../flows/block.js';
import type { FlowRef } from '../flows/history.js';
import { flowRow } from './flow-rows.js';

/** Rows remembered: a reader that is further behind makes its own. */
const REMEMBERED = 16_384;
/** Field 1 with a length: `rows` of FlowStreamMessage, and `flows` of FlowRows. */
const FIRST_FIELD = 10;

const encoded = new WeakMap<Flow, Uint8Array>();

export class SharedRows {
  readonly #ruleId: (number: number) => string;
  readonly #rows = new WeakMap<FlowBlock, Map<number, Flow>>();
  /** What was made, oldest first, as a ring: the one that is overwritten is forgotten. Holds no block: most of a block's rows nobody wants. */
  readonly #made: ({ readonly rows: Map<number, Flow>; readonly index: number } | undefined)[] = new Array(REMEMBERED);
  /** Rows made so far. */
  made = 0;

  constructor(ruleId: (number: number) => string) {
    this.#ruleId = ruleId;
  }

  /** The row of a record: the same object as long as it is remembered. Nobody may change it. */
  row(record: FlowRef): Flow {
    const { block, index } = record;
    let rows = this.#rows.get(block);
    const known = rows?.get(index);
    if (known !== undefined) return known;
    if (rows === undefined) {
      rows = new Map();
      this.#rows.set(block, rows);
    }
    const place = this.made % REMEMBERED;
    const oldest = this.#made[place];
    oldest?.rows.delete(oldest.index);
    this.#made[place] = { rows, index };
    this.made += 1;
    const row = flowRow(record, this.#ruleId);
    rows.set(index, row);
    return row;
  }
}

/** As FlowStreamMessage.encode, each row's bytes made once, however many messages carry it. */
export function writeFlowStream(message: FlowStreamMessage): Buffer {
  if (message.body?.$case !== 'rows') return Buffer.from(FlowStreamMessage.encode(message).finish());
  const writer = new BinaryWriter();
  writer.uint32(FIRST_FIELD).fork();
  for (const flow of message.body.value.flows) {
    let bytes = encoded.get(flow);
    if (bytes === undefined) {
      bytes = Flow.encode(flow).finish();
      encoded.set(flow, bytes);
    }
    writer.uint32(FIRST_FIELD).bytes(bytes);
  }
  return Buffer.from(writer.join().finish());
}

/** The Flows service, its tails written that way. */
export const FLOWS = { ...FlowsService, follow: { ...FlowsService.follow, responseSerialize: writeFlowStream } };
