import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type PolicyFile, PolicyService } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import { CliError, ExitCode } from '../errors.js';
import { plural } from '../text/plural.js';
import { type RefOptions, refOf } from './policy-read.js';

/**
 * `policy export`: every file of a policy. Into a folder, existing files that differ are kept unless --force, and then nothing is
 * written at all; other files of the folder are never touched.
 */
export const exportPolicy: Action<[string | undefined], RefOptions & { force?: boolean }> = async (
  invocation,
  options,
  folder,
) => {
  const ref = refOf(options);
  const connection = await invocation.connect();
  const content = await connection.call('export the policy', PolicyService.get, { ref });
  const { printer } = invocation;
  const version = content.version?.number ?? 0;
  if (folder === undefined) {
    const text = content.files.map(({ name, content }) => `# file: ${name}\n${content.trimEnd()}\n`).join('---\n');
    return printer.report({ version, files: content.files.map(({ name, content }) => ({ name, content })) }, text);
  }
  const written = await writeFiles(folder, content.files, options.force ?? false);
  await printer.report(
    { version, folder, files: content.files.map(({ name }) => name), written },
    `${plural(content.files.length, 'file')} in ${folder}, ${written.length} written\n`,
  );
};

async function writeFiles(folder: string, files: readonly PolicyFile[], force: boolean): Promise<string[]> {
  const changed: PolicyFile[] = [];
  for (const file of files) {
    // Names come over the network: none may lead out of the folder.
    if (file.name.startsWith('/') || file.name.split('/').some((part) => part === '..' || part === '')) {
      throw exportError(`found a file named ${JSON.stringify(file.name)}`, 'names below the folder', folder);
    }
    const present = await readFile(join(folder, file.name), 'utf8').catch(() => undefined);
    if (present === file.content) continue;
    if (present !== undefined && !force)
      throw exportError(
        'found another file of that name',
        'no file, the same text, or --force',
        join(folder, file.name),
      );
    changed.push(file);
  }
  for (const { name, content } of changed) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return changed.map(({ name }) => name);
}

function exportError(found: string, wanted: string, where: string): CliError {
  return new CliError({
    code: 'RF_CLI_FILE',
    what: 'Cannot export the policy',
    found,
    wanted,
    where,
    exit: ExitCode.conflict,
  });
}
