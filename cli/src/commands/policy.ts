import { Option } from 'commander';
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

export const define: Define = (command, app) => {
  const loadApply = () => import('../actions/policy-apply.js');
  const loadRead = () => import('../actions/policy-read.js');
  const loadChange = () => import('../actions/policy-change.js');
  command
    .command('apply')
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
      'What differs, in rules: from the version in force to the draft unless said. Ends: a version number, "draft", "active".',
    )
    .option('--exit-code', 'exit code 1 when there is a difference')
    .action(app.action(async () => (await loadRead()).diffPolicy));
  command
    .command('provision')
    .description('Make the draft the next version and put it in force.')
    .option('--note <text>', 'why, kept with the version')
    .addOption(expectedVersion('the policy in force'))
    .addOption(wait())
    .action(app.action(async () => (await loadChange()).provisionPolicy));
  command
    .command('rollback <version>')
    .description('Make the content of an old version the next version and put it in force. The draft becomes the same.')
    .option('--note <text>', 'why, kept with the new version')
    .addOption(wait())
    .action(app.action(async () => (await loadChange()).rollbackPolicy));
  command
    .command('discard')
    .description('Throw the draft away: it becomes the version in force again.')
    .action(app.action(async () => (await loadChange()).discardDraft));
};
