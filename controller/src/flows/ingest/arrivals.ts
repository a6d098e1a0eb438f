// Where a batch's records stand while they are stitched: a block that is used again and again.
import { FlowBlock, type FlowEndInfo } from '../block.js';
import type { Observations } from '../stitch/types.js';

export class Arrivals extends FlowBlock implements Observations {
  /** Not 0: the translating host told who opened the connection. */
  readonly told = new Uint8Array(this.rule.length);
  readonly toldPort = new Uint16Array(this.rule.length);
  readonly toldIp = new Uint8Array(16 * this.rule.length);

  constructor() {
    super(0);
  }

  /** Names the source of an inbound record by what was told. */
  tell(index: number, end: FlowEndInfo, ip: Uint8Array, port: number): void {
    this.remote[index] = this.endRef(end);
    this.told[index] = 1;
    this.toldPort[index] = port;
    this.toldIp.set(ip, 16 * index);
  }
}
