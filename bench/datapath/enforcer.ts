// Runs inside the host's network namespace: Ringfence's own datapath, driven over the process channel. What the agent does with
// a controller's instructions, without agent and controller.
import { Datapath } from '@ringfence/agent/datapath/datapath.js';
import { emptyInstructions, type Instructions } from '@ringfence/agent/desired/instructions.js';
import type { LocalWorkload } from '@ringfence/agent/desired/local.js';
import { Renderer } from '@ringfence/agent/desired/renderer.js';
import { VersionedMap } from '@ringfence/agent/desired/versioned-map.js';
import { ABI_VERSION } from '@ringfence/bpf';
import { BpfProgram, RingConsumer } from '@ringfence/native';
import { parseAddress } from '@ringfence/proto/address.js';
import { Mode, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { type BindingState, bindingKey } from '@ringfence/proto/instructions.js';
import { policySet } from '@ringfence/proto/policy-set.js';
import { ifindexOf, serveDriven } from './driven.js';
import { type PacketCosts, runPackets } from './packets.js';

export type Request =
  | { do: 'load'; members: string[]; ports: number[] }
  | { do: 'on' | 'off' }
  | { do: 'packets'; workload: string; member: string; stranger: string; port: number };

export interface Answer {
  readonly costs?: PacketCosts;
}

/** Members share this many identities at most: label sets are few where addresses are many. */
const identitiesMax = 1000;

const [pinPath = '', cgroupRoot = '', interfaceName = ''] = process.argv.slice(2);
const datapath = Datapath.open({
  pinPath,
  cgroupRoot,
  mapSizes: { rf_peers: 262_144, rf_groups: 65_536, rf_flows: 262_144 },
});
const renderer = new Renderer({ unassigned: 'visibility', rejectMode: 'drop', failsafes: [] }, datapath.recovered);
// Events are taken out as the agent takes them; what it makes of them is measured elsewhere.
const consumer = new RingConsumer({ lanes: datapath.rings() }, (batch) => batch.release());
let instructions: Instructions = emptyInstructions();

function workload(): LocalWorkload[] {
  const ifindex = ifindexOf(interfaceName);
  const kind = WorkloadKind.WORKLOAD_KIND_CONTAINER;
  const interfaces = [{ name: interfaceName, ifindex }];
  return [{ localId: 'container:bench', kind, interfaces, cgroup: undefined, addresses: [], netns: undefined }];
}

/** The policy: the ports from members, nothing else; everything from the workload. */
function policyFor(members: readonly string[], ports: readonly number[]): Instructions {
  const identities = Math.min(identitiesMax, members.length);
  const allow = ports.map((port) => ({
    protocol: 6,
    portLow: port,
    portHigh: port,
    rule: 1,
    allow: true,
    constraints: 0,
  }));
  const inbound = policySet([
    { anyone: true, identities: [], classes: [], ports: [] },
    { anyone: false, identities: Array.from({ length: identities }, (_, i) => i + 2), classes: [], ports: allow },
  ]);
  const bindings = members.map((text, i): [string, BindingState] => {
    const address = parseAddress(text);
    if (!address) throw new Error(`Cannot use member ${text}: no address`);
    const binding = { space: '', address, identity: (i % identities) + 2, shared: [], unmanaged: true };
    return [bindingKey(binding), binding];
  });
  const assignment = {
    localId: 'container:bench',
    workloadId: 'bench',
    identity: 1,
    modeIn: Mode.MODE_ENFORCE,
    modeOut: Mode.MODE_ENFORCE,
    setIn: inbound.hash,
    setOut: '',
    isolated: false,
    space: '',
    reject: false,
    labels: {},
  };
  return {
    ...emptyInstructions(),
    revision: instructions.revision + 1,
    policyVersion: 1,
    sets: VersionedMap.of(new Map([[inbound.hash, inbound]])),
    assignments: VersionedMap.of(new Map([[assignment.localId, assignment]])),
    bindings: VersionedMap.of(new Map(bindings)),
  };
}

async function apply(locals: readonly LocalWorkload[]): Promise<void> {
  const result = await datapath.apply(renderer.render(instructions, locals));
  if (result.kind === 'refused') throw new Error(`${result.code} ${result.table}: ${result.message}`);
}

async function handle(request: Request): Promise<Answer> {
  switch (request.do) {
    case 'load':
      instructions = policyFor(request.members, request.ports);
      await apply([]);
      return {};
    case 'on':
      await apply(workload());
      return {};
    case 'off':
      await apply([]);
      return {};
    case 'packets': {
      using program = BpfProgram.fromPin(`${pinPath}/v${ABI_VERSION}/progs/rf_tc_egress`);
      return { costs: runPackets(program, { ...request, ifindex: ifindexOf(interfaceName) }) };
    }
  }
}

serveDriven(handle, async () => {
  await consumer.close();
  datapath.detachAll();
});
