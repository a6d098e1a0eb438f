// Whom a version is tried on first: typed as labels, with those workloads counted below.
import { Workloads } from '../api/admin.js';
import { call } from '../api/client.js';
import { useResource } from '../api/resource.js';
import { Field, TextInput } from './controls.js';
import { plural } from './format.js';
import { type Requirement, readSelector } from './selector.js';

const NAMED = 5;

export interface Canary {
  /** Nothing typed, or something that can be asked for. */
  readonly ready: boolean;
  /** undefined: every workload. */
  readonly selector: { readonly requirements: Requirement[] } | undefined;
  /** Words that are no labels. */
  readonly others: readonly string[];
}

export function canaryOf(text: string): Canary {
  const { requirements, others } = readSelector(text);
  const selector = requirements.length === 0 ? undefined : { requirements };
  return { ready: others.length === 0, selector, others };
}

export function CanaryField({ text, onInput }: { readonly text: string; readonly onInput: (text: string) => void }) {
  const { selector, others } = canaryOf(text);
  return (
    <div>
      <Field
        label="Canary: only workloads with these labels"
        hint="Empty: every workload. The others stay under the version in force until the canary is confirmed."
      >
        <TextInput value={text} onInput={onInput} placeholder="role=api env=staging" />
      </Field>
      {others.length > 0 && (
        <p class="notice warning" role="alert">
          {others.join(' ')} is no label: found no “dimension=value”.
        </p>
      )}
      {selector !== undefined && others.length === 0 && <Chosen selector={selector} />}
    </div>
  );
}

function Chosen({ selector }: { readonly selector: NonNullable<Canary['selector']> }) {
  const found = useResource(
    `canary ${JSON.stringify(selector)}`,
    (signal) => call(Workloads.method.list, { filter: { selector }, page: { limit: NAMED } }, signal),
    { keep: false },
  );
  const { workloads = [], total = 0 } = found.data ?? {};
  const more = total > workloads.length ? ' …' : '';
  return (
    <p class="muted small" role="status">
      {found.error?.message}
      {found.data !== undefined &&
        (total === 0
          ? 'No workload has these labels today.'
          : `${plural(total, 'workload')} today: ${workloads.map(({ name }) => name).join(', ')}${more}`)}
    </p>
  );
}
