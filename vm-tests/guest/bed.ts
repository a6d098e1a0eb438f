// Two containers behind veth pairs, a service in a cgroup and the rest of its host, with the agent's datapath in a process of its
// own: the bed of the agent's own tests. The datapath is opened once, since a verifier under emulation takes a minute.
import {
  A,
  ADDRESS,
  CGROUP_ROOT,
  containers,
  HOST,
  hostWorkloads,
  makeBed,
  PIN_PATH,
} from '@ringfence/agent/datapath/testing/bed.js';
import type { Request } from '@ringfence/agent/datapath/testing/driver.js';
import { Forked } from '@ringfence/agent/datapath/testing/forked.js';
import { allow, fullUpdate, setOf, type Wanted } from '@ringfence/agent/datapath/testing/policies.js';
import type { TrafficRequest } from '@ringfence/agent/datapath/testing/traffic.js';
import type { ApplyResult, DatapathOptions, DatapathStatus } from '@ringfence/agent/datapath/types.js';
import { ABI_VERSION } from '@ringfence/bpf';

export const [OPEN, SHUT] = [8001, 8002];
export const PINS = `${PIN_PATH}/v${ABI_VERSION}`;
export { ADDRESS };

const B = 'rfdpb';
const [ID_A, ID_B, ID_HOST, ID_SVC] = [101, 102, 110, 111];
const config = { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] } as const;
/** Emulated machines are slow: what must happen has this long. */
const PATIENCE_MS = 20_000;
/** What must not happen gets less. */
const SILENCE_MS = 2_000;

type TcMode = NonNullable<DatapathOptions['tcMode']>;
type Traffic = Forked<TrafficRequest>;

/**
 * A may use `port` of B and of the service, and the service `port` of A. A's own policy lets it call both ports of the service, so
 * that it is the service's side, at its cgroup, that refuses. The rest of the host may do nothing.
 */
function policy(port: number, isolated: boolean): Wanted[] {
  const list = [allow(1, 6, port), allow(2, 17, port)];
  const both = [allow(3, 6, OPEN), allow(4, 6, SHUT)];
  return [
    {
      localId: `container:${A}`,
      identity: ID_A,
      setIn: setOf({ [ID_SVC]: list }),
      setOut: setOf({ [ID_B]: list, [ID_SVC]: both }),
    },
    { localId: `container:${B}`, identity: ID_B, setIn: setOf({ [ID_A]: list }), setOut: setOf({}) },
    { localId: 'host', identity: ID_HOST, setIn: setOf({}), setOut: setOf({}), isolated },
    {
      localId: 'cgroup:svc',
      identity: ID_SVC,
      setIn: setOf({ [ID_A]: list }),
      setOut: setOf({ [ID_A]: list }),
      isolated,
    },
  ];
}

const WHO = {
  [ADDRESS.a4]: ID_A,
  [ADDRESS.a6]: ID_A,
  [ADDRESS.b4]: ID_B,
  [ADDRESS.b6]: ID_B,
  [ADDRESS.host4]: ID_SVC,
  [ADDRESS.host6]: ID_SVC,
};

export class Bed {
  readonly inA: Traffic;
  readonly service: Traffic;
  /** A process of the host that belongs to no service. */
  readonly host: Traffic;
  #owner: Forked<Request> | undefined;
  #revision = 0;

  private constructor(inA: Traffic, service: Traffic, host: Traffic) {
    this.inA = inA;
    this.service = service;
    this.host = host;
  }

  /** Both ports are served in both containers and by the service. */
  static async make(): Promise<Bed> {
    await makeBed();
    const start = (netns: string, cgroup?: string) => Forked.start<TrafficRequest>('traffic', netns, cgroup);
    const inA = await start(A);
    const inB = await start(B);
    const service = await start(HOST, `${CGROUP_ROOT}/svc`);
    for (const process of [inA, inB, service])
      for (const port of [OPEN, SHUT]) await process.ask({ do: 'serve', port });
    return new Bed(inA, service, await start(HOST, CGROUP_ROOT));
  }

  /** A datapath in a new process; the one before is killed. How it started. */
  async open(tcMode: TcMode): Promise<DatapathStatus['start']> {
    await this.#owner?.kill();
    this.#owner = await Forked.start<Request>('driver', HOST);
    const options = { pinPath: PIN_PATH, cgroupRoot: CGROUP_ROOT, ringBytes: 65_536, denyRingBytes: 65_536, tcMode };
    return this.#owner.ask<DatapathStatus['start']>({ do: 'open', options, config });
  }

  async killOwner(): Promise<void> {
    await this.#owner?.kill();
  }

  /** Throws an Error when the kernel refuses. */
  async apply(port: number, isolated = false): Promise<Extract<ApplyResult, { kind: 'ok' }>> {
    this.#revision += 1;
    const update = fullUpdate(this.#revision, policy(port, isolated), WHO);
    const result = await this.#ask<ApplyResult>({
      do: 'apply',
      update,
      locals: [...containers(), ...hostWorkloads()],
    });
    if (result.kind !== 'ok') throw new Error(`policy refused: ${result.code} ${result.table} ${result.message}`);
    return result;
  }

  status(): Promise<DatapathStatus> {
    return this.#ask<DatapathStatus>({ do: 'status' });
  }

  detach(): Promise<unknown> {
    return this.#ask({ do: 'detach' });
  }

  #ask<T>(request: Request): Promise<T> {
    if (this.#owner === undefined) throw new Error('Cannot ask the datapath: found no process');
    return this.#owner.ask<T>(request);
  }
}

/** 'open', or how it failed. dropped: no answer is expected. */
export const open = (from: Traffic, id: string, host: string, port: number, dropped = false): Promise<string> =>
  from.ask<string>({ do: 'open', id, host, port, timeoutMs: dropped ? SILENCE_MS : PATIENCE_MS });

export const echoes = (from: Traffic, id: string): Promise<boolean> =>
  from.ask<boolean>({ do: 'echo', id, timeoutMs: PATIENCE_MS });

export const ends = (from: Traffic, id: string): Promise<object | undefined> =>
  from.ask<object | undefined>({ do: 'ended', id, timeoutMs: PATIENCE_MS });

export const datagram = (from: Traffic, host: string, port: number, dropped = false): Promise<string> =>
  from.ask<string>({ do: 'datagram', host, port, timeoutMs: dropped ? SILENCE_MS : PATIENCE_MS });
