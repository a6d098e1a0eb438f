import type { DiffPolicyResponse } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { sanitize } from '../text/sanitize.js';
import type { Style } from '../text/style.js';
import { ruleText } from '../views/policy.js';

/** A difference for people: + new rules, - gone ones, ~ changed ones with both texts; then the files. */
export function diffText(diff: DiffPolicyResponse, style: Style): string {
  if (diff.rules.length + diff.files.length === 0) return 'no difference\n';
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
  for (const { name, change } of diff.files) lines.push(style('dim', `file ${sanitize(name)}: ${sanitize(change)}`));
  return `${lines.join('\n')}\n`;
}
