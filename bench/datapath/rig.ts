import type { TestHost } from '@ringfence/lab/host.js';
import { Lab } from '@ringfence/lab/lab.js';
import { NetNamespace } from '@ringfence/lab/netns.js';
import type { LabNode } from '@ringfence/lab/node.js';
import { Place, type Server } from '@ringfence/lab/place.js';
import { tool } from '@ringfence/lab/tool.js';

export const echoPort = 7001;
export const sinkPort = 7002;

/** Both ends on one processor: a rate then is the whole cost of the path, and waking the other one is no part of it. */
const benchCpu = 1;

/**
 * The one path all variants are measured on: client machine, router, host, and behind the host's veth the workload (what a
 * container is). Enforcement sits at the host: Ringfence at the veth, nftables and iptables in the forward path.
 */
export interface Rig {
  lab: Lab;
  /** Where enforcement is installed. */
  host: TestHost;
  /** The host's end of the workload's veth. */
  interface: string;
  workload: Place;
  client: Place;
  close(): Promise<void>;
}

export async function buildRig(): Promise<Rig> {
  const lab = await Lab.create();
  try {
    const clientNode: LabNode = await lab.addNode('client');
    const host = await lab.addHost('host');
    const inside = await NetNamespace.create(`${lab.name}-workload`);
    const [gateway, address] = [host.containerNet.bip, host.containerNet.bip.replace('.1/', '.2/')];
    const ip4 = address.split('/')[0] ?? '';
    await host.netns.ip([
      `link add workload0 type veth peer name eth0 netns ${inside.name}`,
      `address add ${gateway} dev workload0`,
      'link set workload0 up',
    ]);
    await inside.ip([
      `address add ${address} dev eth0`,
      'link set eth0 up',
      `route add default via ${gateway.split('/')[0]}`,
    ]);
    // Its processes belong to no node's cgroup: nothing but the interface hooks may see them.
    const seat = await lab.addNode('outside');
    const placement = { cgroup: (await seat.place('workload', 'workload')).cgroup, netns: inside.path };
    const addresses = { ip4, ip6: '' };
    const loose = new Place('workload', addresses, inside.path, placement, await tool(), host.file('workload.log'));
    const workload = loose.onCpu(benchCpu);
    const server: Server = await workload.serve(`tcp:${echoPort}`, `sink:${sinkPort}`);
    const client = (await clientNode.place('client', 'client')).onCpu(benchCpu);
    return {
      lab,
      host,
      interface: 'workload0',
      workload,
      client,
      close: async () => {
        await server.process.stop();
        await lab.close();
      },
    };
  } catch (error) {
    await lab.close();
    throw error;
  }
}
