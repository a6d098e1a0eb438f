import { selectorSyntax } from '../filter/selector-syntax.js';
import type { Define } from './groups.js';
import { expectedVersion, repeatable } from './options.js';

export const define: Define = (command, app) => {
  const load = () => import('../actions/workload.js');
  command
    .command('list [text]')
    .description('Workloads, optionally only those with the text in id, name or image.')
    .addOption(repeatable('-l, --label <selector>', `by label: ${selectorSyntax}`))
    .addOption(repeatable('--host <host>', 'on this host, by id'))
    .addOption(repeatable('--kind <kind>', 'of this kind: host, container, cgroup, unmanaged'))
    .option('--source <source>', 'found or pushed by this source')
    .option('--gone', 'also those that their agent no longer reports')
    .option('--limit <n>', 'at most so many')
    .action(app.action(async () => (await load()).listWorkloads));
  command
    .command('show <workload>')
    .description('Everything about one workload, by id, by <host>/<name>, or by a name that is unique.')
    .action(app.action(async () => (await load()).showWorkload));
  const loadInventory = () => import('../actions/inventory.js');
  command
    .command('match <selector>')
    .description(
      "Workloads that a selector of the policy language selects: role=web, or YAML such as '{any: [role=web, …]}'.",
    )
    .option('--draft', "by the draft's groups instead of those in force")
    .action(app.action(async () => (await loadInventory()).matchWorkloads));
  command
    .command('groups <workload>')
    .description('What one workload belongs to: label groups, IP lists, rules at each of its ends, modes.')
    .action(app.action(async () => (await loadInventory()).workloadGroups));
  command
    .command('why <workload> [dimension]')
    .description('Why a workload has each of its labels: which operator, key and profile, or login gave it.')
    .action(app.action(async () => (await loadInventory()).whyLabels));
  command
    .command('label <workload> <changes...>')
    .description('Change labels: role=web sets, role- removes.')
    .option('--replace', 'remove all other labels first')
    .option('--sticky', 'keep the labels also for a later workload of the same host, kind and name')
    .addOption(expectedVersion('the workload'))
    .action(app.action(async () => (await load()).labelWorkload));
  const loadUnmanaged = () => import('../actions/unmanaged.js');
  command
    .command('create <name>')
    .description('Add a workload without an agent: labels and addresses. Rules are enforced at the other end.')
    .addOption(
      repeatable(
        '-a, --address <address>',
        'an address of it; with @space where it is not the routed world',
      ).makeOptionMandatory(),
    )
    .addOption(repeatable('-l, --label <label>', 'a label of it, dimension=value'))
    .addOption(repeatable('--metadata <key=value>', 'anything its owner wants back'))
    .option('--id <id>', 'its id; one is made when left out')
    .option('--source <source>', 'who pushes it; the name in the certificate when left out')
    .action(app.action(async () => (await loadUnmanaged()).createWorkload));
  command
    .command('delete <workload>')
    .description('Remove a workload without an agent, or forget one whose agent no longer reports it.')
    .addOption(expectedVersion('the workload'))
    .action(app.action(async () => (await loadUnmanaged()).deleteWorkload));
  command
    .command('push <file>')
    .description('Make the workloads of one source what a YAML file says ("-": standard input). All or nothing.')
    .option('--source <source>', 'who pushes; overrides the file')
    .option('--prune', 'also remove workloads of this source that the file does not name')
    .action(app.action(async () => (await loadUnmanaged()).pushWorkloads));
};
