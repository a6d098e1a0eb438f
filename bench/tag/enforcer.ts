// Runs inside the host's network namespace: the agent's own datapath over all cgroups of the lab, so that the client's SYNs are tagged
// and the workload's interface reads them. Driven over the process channel.
import { uptime } from 'node:os';
import { Datapath } from '@ringfence/agent/datapath/datapath.js';
import { emptyInstructions, type Instructions } from '@ringfence/agent/desired/instructions.js';
import type { LocalWorkload } from '@ringfence/agent/desired/local.js';
import { Renderer } from '@ringfence/agent/desired/renderer.js';
import { type TagSettings, tagTables } from '@ringfence/agent/desired/tags.js';
import { VersionedMap } from '@ringfence/agent/desired/versioned-map.js';
import { ABI_VERSION } from '@ringfence/bpf';
import { BpfProgram, cgroupId, RingConsumer } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import { Mode, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type BindingState, bindingKey } from '@ringfence/proto/instructions.js';
import { policySet } from '@ringfence/proto/policy-set.js';
import { ifindexOf, serveDriven } from '../datapath/driven.js';
import { middleOf, runTagPackets, type Switch, type TagPacketCosts, type TagPlan } from './packets.js';

export type Request =
  | { do: 'load'; workload: string; exact: readonly string[]; shared: readonly string[]; port: number }
  | { do: 'on' | 'off' | 'tally' }
  | { do: 'packets'; plan: Omit<TagPlan, 'ifindex' | 'epoch' | 'key' | 'otherKey' | 'identity'> };

export interface Tally {
  readonly written: number;
  readonly valid: number;
}

export interface Answer {
  readonly costs?: TagPacketCosts;
  readonly tally?: Tally;
}

const [pinPath = '', cgroupRoot = '', clientCgroup = '', interfaceName = ''] = process.argv.slice(2);
const [EPOCH, KEY, OTHER_KEY] = [7, '000102030405060708090a0b0c0d0e0f', 'ffeeddccbbaa99887766554433221100'];
const [WORKLOAD, CLIENT, NEIGHBOUR] = [1, 2, 3];
const settings: TagSettings = {
  mode: 'peers',
  epochs: [{ epoch: EPOCH, key: Buffer.from(KEY, 'hex'), fromMs: 0, untilMs: 0 }],
};
const datapath = Datapath.open({ pinPath, cgroupRoot, mapSizes: { rf_flows: 262_144 } });
const renderer = new Renderer({ unassigned: 'visibility', rejectMode: 'drop', failsafes: [] }, datapath.recovered);
const consumer = new RingConsumer({ lanes: datapath.rings() }, (batch) => batch.release());

const switchTags: Switch = (on) => {
  const fleetMs = on === undefined ? Date.now() : middleOf(on.slot);
  datapath.setTags(tagTables(on === undefined ? undefined : settings, fleetMs, uptime() * 1000));
};

/**
 * The workload at its interface; the client as a container: decided nowhere here, but its cgroup says whose SYNs it sends. And the host,
 * whose hooks (connect among them) are there with and without tags, as on any host with services.
 */
function locals(): LocalWorkload[] {
  const kind = WorkloadKind.WORKLOAD_KIND_CONTAINER;
  const none = { addresses: [], netns: undefined };
  const cgroup = { path: clientCgroup, id: cgroupId(clientCgroup) };
  const interfaces = [{ name: interfaceName, ifindex: ifindexOf(interfaceName) }];
  return [
    { localId: 'container:workload', kind, interfaces, cgroup: undefined, ...none },
    { localId: 'container:client', kind, interfaces: [], cgroup, ...none },
    {
      localId: 'host',
      kind: WorkloadKind.WORKLOAD_KIND_HOST,
      interfaces: [],
      cgroup: { path: cgroupRoot, id: cgroupId(cgroupRoot) },
      ...none,
    },
  ];
}

function instructions(request: Extract<Request, { do: 'load' }>): Instructions {
  const { port } = request;
  const allow = { protocol: 6, portLow: port, portHigh: port, rule: 1, allow: true, constraints: 0 };
  const inbound = policySet([
    { anyone: true, identities: [], classes: [], ports: [] },
    { anyone: false, identities: [CLIENT, NEIGHBOUR], classes: [], ports: [allow] },
  ]);
  const binding = (text: string, identity: number, shared: readonly number[]): [string, BindingState] => {
    const address = parseAddress(text);
    if (address === undefined) throw new Error(`Cannot use ${text}: no address`);
    const state = { space: '', address, identity, shared: [...shared], unmanaged: false };
    return [bindingKey(state), state];
  };
  const assigned = (name: string, identity: number, mode: Mode, setIn: string) => ({
    localId: `container:${name}`,
    workloadId: name,
    identity,
    modeIn: mode,
    modeOut: Mode.MODE_VISIBILITY,
    setIn,
    setOut: '',
    isolated: false,
    space: '',
    reject: false,
    labels: {},
  });
  const assignments = [
    assigned('workload', WORKLOAD, Mode.MODE_ENFORCE, inbound.hash),
    assigned('client', CLIENT, Mode.MODE_VISIBILITY, ''),
  ];
  return {
    ...emptyInstructions(),
    revision: 1,
    policyVersion: 1,
    sets: VersionedMap.of(new Map([[inbound.hash, inbound]])),
    assignments: VersionedMap.of(new Map(assignments.map((each) => [each.localId, each]))),
    bindings: VersionedMap.of(
      new Map([
        binding(request.workload, WORKLOAD, []),
        ...request.exact.map((text) => binding(text, CLIENT, [])),
        ...request.shared.map((text) => binding(text, CLIENT, [CLIENT, NEIGHBOUR])),
      ]),
    ),
  };
}

async function handle(request: Request): Promise<Answer> {
  switch (request.do) {
    case 'load': {
      const result = await datapath.apply(renderer.render(instructions(request), locals()));
      if (result.kind === 'refused') throw new Error(`${result.code} ${result.table}: ${result.message}`);
      return {};
    }
    case 'on':
    case 'off': {
      datapath.setTags(tagTables(request.do === 'on' ? settings : undefined, Date.now(), uptime() * 1000));
      return {};
    }
    case 'tally': {
      const { written, valid } = datapath.status().tags.tally;
      return { tally: { written: Number(written), valid: Number(valid) } };
    }
    case 'packets': {
      using program = BpfProgram.fromPin(`${pinPath}/v${ABI_VERSION}/progs/rf_tc_egress`);
      const own = { ifindex: ifindexOf(interfaceName), identity: CLIENT, epoch: EPOCH, key: KEY, otherKey: OTHER_KEY };
      return { costs: runTagPackets(program, { ...request.plan, ...own }, switchTags) };
    }
  }
}

serveDriven(handle, async () => {
  await consumer.close();
  datapath.detachAll();
});
