import type {
  DiffPolicyResponse,
  DiffPolicyResponse_ObjectChange,
} from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { plural } from '../text/plural.js';
import { sanitize } from '../text/sanitize.js';
import type { Style } from '../text/style.js';
import { ruleText } from '../views/policy.js';

/** A difference for people: rules in words (+ new, - gone, ~ changed), other objects by field, files, then what it does to reach. */
export function diffText(diff: DiffPolicyResponse, style: Style): string {
  if (diff.rules.length + diff.files.length + diff.objects.length === 0) return 'no difference\n';
  const lines = diff.rules.flatMap(({ id, before, after }) => {
    const name = sanitize(id);
    if (before === undefined && after !== undefined) return [style('good', `+ ${name}: ${sanitize(ruleText(after))}`)];
    if (before !== undefined && after === undefined) return [style('bad', `- ${name}: ${sanitize(ruleText(before))}`)];
    if (before === undefined || after === undefined) return [];
    const [was, is] = [sanitize(ruleText(before)), sanitize(ruleText(after))];
    const head = style('warn', `~ ${name}`);
    return was === is
      ? [`${head}: the same in words; its number, note or place differs`]
      : [head, style('bad', `    - ${was}`), style('good', `    + ${is}`)];
  });
  for (const object of diff.objects.filter(({ section }) => section !== 'rules'))
    lines.push(...objectLines(object, style));
  for (const { name, change } of diff.files) lines.push(style('dim', `file ${sanitize(name)}: ${sanitize(change)}`));
  lines.push('', ...reachLines(diff, style));
  return `${lines.join('\n')}\n`;
}

const MARKS: Readonly<Record<string, readonly [string, 'good' | 'bad' | 'warn']>> = {
  added: ['+', 'good'],
  removed: ['-', 'bad'],
  changed: ['~', 'warn'],
};

function objectLines({ section, key, change, fields }: DiffPolicyResponse_ObjectChange, style: Style): string[] {
  const [mark, tone] = MARKS[change] ?? ['~', 'warn'];
  const lines = [style(tone, `${mark} ${sanitize(section)} ${sanitize(key)}`)];
  for (const { field, before, after } of fields) {
    if (before !== '') lines.push(style('bad', `    - ${sanitize(field)}: ${sanitize(before)}`));
    if (after !== '') lines.push(style('good', `    + ${sanitize(field)}: ${sanitize(after)}`));
  }
  return lines;
}

function reachLines(diff: DiffPolicyResponse, style: Style): string[] {
  if (diff.unreadable) return ['reach: not known, one of both policies has errors. Next: ringfence policy check'];
  const cut = diff.truncated ? `; only the first ${plural(diff.pairs, 'pair')} of label sets were compared` : '';
  if (diff.reach.length === 0) return [`reach: no workload of today gains or loses anything${cut}`];
  const lines = [style('strong', `reach between today's workloads${cut}`)];
  for (const { from, to, fromWorkloads, toWorkloads, gained, lost } of diff.reach) {
    lines.push(`  ${sanitize(from)} (${fromWorkloads}) -> ${sanitize(to)} (${toWorkloads})`);
    if (gained !== '') lines.push(style('good', `    gains ${sanitize(gained)}`));
    if (lost !== '') lines.push(style('bad', `    loses ${sanitize(lost)}`));
  }
  return lines;
}
