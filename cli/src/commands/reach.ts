import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .description(
      'Print every ordered pair that may talk, from files alone: no controller is asked. Reads Kubernetes manifests (multi-document files, lists, Helm output), NetworkPolicies, Ringfence policy and inventories (`workloads:`), in any mix.',
    )
    .argument('<path...>', 'files, or folders: all .yaml, .yml and .json below them ("-": standard input)')
    .action(app.action(async () => (await import('../actions/reach.js')).reach));
};
