import { SpacesService } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import type { Action } from '../app.js';
import { CliError, ExitCode } from '../errors.js';
import { readInput } from '../input/yaml-input.js';
import { field } from '../output/fields.js';
import { pathJson, pathText, spaceColumns, spaceJson, spaceName } from '../views/space.js';

/** `space list`. */
export const listSpaces: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  const { spaces } = await connection.call('list spaces', SpacesService.list, { name: '' });
  await invocation.printer.list({
    name: 'spaces',
    rows: spaces,
    columns: spaceColumns,
    json: spaceJson,
    empty: 'No spaces.',
  });
};

/** `space show`. */
export const showSpace: Action<[string], object> = async (invocation, _options, name) => {
  const connection = await invocation.connect();
  const { spaces } = await connection.call('list spaces', SpacesService.list, { name: '' });
  const space = spaces.find((each) => spaceName(each.name) === name);
  if (space === undefined) {
    throw new CliError({
      code: 'RF_SPACE_UNKNOWN',
      what: `Cannot show space ${name}`,
      found: 'found none of this name',
      wanted: 'one of `ringfence space list`',
      exit: ExitCode.notFound,
    });
  }
  await invocation.printer.object({
    json: spaceJson(space),
    fields: [
      field('space', spaceName(space.name)),
      field('inside', space.name === '' ? '' : spaceName(space.parent)),
      field('known by', space.origin),
      field('gateway', space.gateway),
      field('hosts', space.hosts.join(', ')),
      field('networks', space.networks.join(', ')),
      field('workloads', String(space.workloads)),
      field('leaves as', space.sources.join('; ') || (space.name === '' ? '' : 'itself (routed)')),
      ...space.destinations.map((line) => field('entered by', line)),
    ],
  });
};

/** `space path`. Exit code 1 when there is no path. */
export const showPath: Action<[string, string], { ipv4?: boolean; ipv6?: boolean }> = async (
  invocation,
  options,
  source,
  destination,
) => {
  const connection = await invocation.connect();
  const family = options.ipv6 ? 6 : options.ipv4 ? 4 : 0;
  const path = await connection.call('find the path', SpacesService.path, { source, destination, family });
  await invocation.printer.object({
    json: pathJson(path),
    fields: pathText(path).map(([name, text]) => field(name, text)),
  });
  if (!path.reachable) {
    throw new CliError({
      code: 'RF_SPACE_PATH',
      what: `Cannot reach ${path.destinationId} from ${path.sourceId}`,
      found: 'found no path',
      wanted: 'a space that both are in, a published port or a declared mapping',
      exit: ExitCode.refused,
    });
  }
};

/** `space apply`: exit code 1 when the controller refuses the file. */
export const applySpaces: Action<[], { file: string; dryRun?: boolean }> = async (invocation, options) => {
  const content = await readInput(invocation.io, options.file);
  const connection = await invocation.connect();
  const request = { content, file: options.file, dryRun: options.dryRun ?? false };
  const { accepted, changed, spaces, problems } = await connection.call('apply spaces', SpacesService.apply, request);
  const lines = problems.map(({ line, column, code, message, file }) => ({
    place: line === 0 ? file : `${file}:${line}:${column}`,
    code,
    message,
  }));
  const outcome = !accepted
    ? 'refused'
    : !changed
      ? 'nothing changed'
      : options.dryRun
        ? 'would be applied'
        : 'applied';
  await invocation.printer.object({
    json: { accepted, changed: changed && !options.dryRun, spaces, problems: lines },
    fields: [
      field(options.file, accepted ? `${outcome}, ${spaces} spaces` : outcome),
      ...lines.map(({ place, code, message }) => field(place, `${code} ${message}`)),
    ],
  });
  if (!accepted) {
    throw new CliError({
      code: 'RF_SPACES_REFUSED',
      what: `Cannot apply ${options.file}`,
      found: `found ${lines.length} problems`,
      wanted: 'none',
      exit: ExitCode.refused,
    });
  }
};
