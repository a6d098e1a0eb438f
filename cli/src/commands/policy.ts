import { type Command, Option } from 'commander';
import { selectorSyntax } from '../filter/selector-syntax.js';
import { timeSyntax } from '../filter/time.js';
import type { Define } from './groups.js';
import { expectedVersion, repeatable } from './options.js';

/** How long `--wait` waits when no time is given. */
const waitDefault = '60s';

function wait(): Option {
  return new Option(
    '--wait [duration]',
    'wait until every connected host has it in force; exit code 1 when one refuses or the time ends',
  ).preset(waitDefault);
}

function files(): Option {
  return repeatable('-f, --file <path>', 'a YAML file, or a folder: all .yaml and .yml below it ("-": standard input)');
}

function base(): Option {
  return new Option('--base <folder>', 'single files are named relative to this folder (default: by their last part)');
}

function rollout(command: Command): Command {
  return command
    .addOption(confirmWithin())
    .option(
      '--canary <selector>',
      `only these workloads first; all others stay under the version before until \`policy promote\` (${selectorSyntax})`,
    );
}

function confirmWithin(): Option {
  return new Option(
    '--confirm-within <duration>',
    'return to the version before by itself unless `policy confirm` comes in time (1s to 24h)',
  );
}

function since(what: string): Option {
  return new Option('--since <time>', `${what}: ${timeSyntax}`);
}

export const define: Define = (command, app) => {
  const loadRollout = () => import('../actions/policy-rollout.js');
  const loadJudge = () => import('../actions/policy-judge.js');
  const loadApply = () => import('../actions/policy-apply.js');
  const loadRead = () => import('../actions/policy-read.js');
  const loadChange = () => import('../actions/policy-change.js');
  rollout(command.command('apply'))
    .description(
      'Put files into the draft, all or none, and provision it. A folder is the whole policy; single files are added to it.',
    )
    .addOption(files().makeOptionMandatory())
    .addOption(base())
    .option('--draft', 'change the draft only; `policy provision` puts it in force')
    .option('--note <text>', 'why, kept with the version')
    .option('--prune', 'the files are the whole policy: remove all others (default for one folder)')
    .option('--no-prune', 'keep files of the draft that are not named (default for files)')
    .addOption(repeatable('--remove <name>', 'remove this file from the draft'))
    .addOption(expectedVersion('the policy in force'))
    .addOption(wait())
    .action(app.action(async () => (await loadApply()).applyPolicy));
  command
    .command('check')
    .description('Check files as apply would, and change nothing.')
    .addOption(files().makeOptionMandatory())
    .addOption(base())
    .option('--prune', 'check the files as the whole policy (default for one folder)')
    .option('--no-prune', 'check them as added to the draft (default for files)')
    .option('--strict', 'exit code 1 for warnings too')
    .action(app.action(async () => (await loadApply()).checkPolicy));
  command
    .command('show [rule]')
    .description('The rules in force, or one rule by id or number.')
    .option('--draft', 'of the draft')
    .option('--version <n>', 'of this version')
    .action(app.action(async () => (await loadRead()).showPolicy));
  command
    .command('export [folder]')
    .description(
      'Write the policy files to a folder, or to standard output as one YAML stream. Applying them again changes nothing.',
    )
    .option('--draft', 'of the draft')
    .option('--version <n>', 'of this version')
    .option('--force', 'overwrite files that differ')
    .action(app.action(async () => (await import('../actions/policy-export.js')).exportPolicy));
  command
    .command('history')
    .description('Versions, newest first.')
    .option('--limit <n>', 'at most so many', '20')
    .option('--before <n>', 'only versions below this one')
    .action(app.action(async () => (await loadRead()).policyHistory));
  command
    .command('diff [from] [to]')
    .description(
      'What differs, in words and in reach (which label sets gain or lose which services): from the version in force to the draft unless said. Ends: a version number, "draft", "active".',
    )
    .option('--exit-code', 'exit code 1 when there is a difference')
    .action(app.action(async () => (await loadRead()).diffPolicy));
  rollout(command.command('provision'))
    .description('Make the draft the next version and put it in force.')
    .option('--note <text>', 'why, kept with the version')
    .addOption(expectedVersion('the policy in force'))
    .addOption(wait())
    .action(app.action(async () => (await loadChange()).provisionPolicy));
  rollout(command.command('rollback <version>'))
    .description('Make the content of an old version the next version and put it in force. The draft becomes the same.')
    .option('--note <text>', 'why, kept with the new version')
    .addOption(wait())
    .action(app.action(async () => (await loadChange()).rollbackPolicy));
  command
    .command('confirm [version]')
    .description('Keep the version that awaits confirmation, for good. A canary is put in force everywhere by it.')
    .action(app.action(async () => (await loadRollout()).confirmPolicy));
  command
    .command('promote [version]')
    .description('Put the version of a canary in force everywhere.')
    .addOption(confirmWithin())
    .addOption(wait())
    .action(app.action(async () => (await loadRollout()).promotePolicy));
  command
    .command('return [version]')
    .description('End the open rollout now: the version before is in force again. The draft keeps the content.')
    .option('--note <text>', 'why, kept with the version')
    .addOption(wait())
    .action(app.action(async () => (await loadRollout()).returnPolicy));
  command
    .command('lint [policy]')
    .description(
      'What is odd about a policy that is not wrong: rules that conflict, are shadowed, redundant, unused, too broad, or match no workload today. Policy: "draft" (default), "active" or a version number.',
    )
    .addOption(since('rules that no connection met since then count as unused (default: all that is recorded)'))
    .option('--strict', 'exit code 1 when there is a finding')
    .action(app.action(async () => (await loadJudge()).lintPolicy));
  command
    .command('test [policy]')
    .description(
      'Run the tests that are stored with a policy, as provisioning it does, or ask one connection of it: by the rules at both ends, whatever the modes. Exit code 1 when one fails. Policy: "draft" (default), "active" or a version number.',
    )
    .option(
      '--from <end>',
      'ask once: who connects. A workload (id, <host>/<name>, unique name), an address, or labels: role=web,env=prod',
    )
    .option('--to <end>', 'who is called; the same')
    .option('--service <service>', 'tcp/443 or 443/tcp, icmp/8, protocol/47')
    .addOption(
      new Option('--expect <outcome>', 'what is wanted of it (default: allowed)').choices(['allowed', 'blocked']),
    )
    .action(app.action(async () => (await import('../actions/policy-test.js')).testPolicy));
  command
    .command('simulate [policy]')
    .description(
      'Replay recorded connections through a policy: what would newly be blocked or allowed. Policy: "draft" (default), "active" or a version number.',
    )
    .addOption(since('connections since then').default('7d'))
    .option('--against <policy>', 'compare with this instead of the version in force: "draft" or a version number')
    .addOption(repeatable('--by <dimension>', 'group by this dimension (default: those that the policies mention)'))
    .option('--as-enforced', 'judge by the rules as if every workload were enforced, instead of by the modes')
    .option('--all', 'also show what stays as it is')
    .option('--exit-code', 'exit code 1 when a connection would newly be blocked')
    .action(app.action(async () => (await loadJudge()).simulatePolicy));
  command
    .command('import <system> <path...>')
    .description(
      'Translate policy of another system to Ringfence YAML, on standard output or into a file; nothing is applied. System: networkpolicy (Kubernetes manifests, files or folders). What cannot be expressed is refused by name, exit code 1.',
    )
    .option('--out <file>', 'write the YAML to this file, which must not exist')
    .action(app.action(async () => (await loadJudge()).importPolicy));
  command
    .command('discard')
    .description('Throw the draft away: it becomes the version in force again.')
    .action(app.action(async () => (await loadChange()).discardDraft));
};
