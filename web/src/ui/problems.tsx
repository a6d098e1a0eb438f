// What is wrong with a policy, with its place.
import type { Problem } from '../gen/ringfence/v1/common_pb.js';
import { Icon } from './icons.js';

export function Problems({ problems }: { readonly problems: readonly Problem[] }) {
  if (problems.length === 0) return null;
  return (
    <div role="alert">
      <ul class="problems">
        {problems.map((problem) => (
          <li key={`${problem.file}:${problem.line}:${problem.column}:${problem.message}`}>
            <span class={`mark ${problem.warning ? 'warning' : 'alarm'}`}>
              <Icon name={problem.warning ? 'would' : 'blocked'} />
              {problem.warning ? 'warning' : 'error'}
            </span>{' '}
            {problem.message}{' '}
            <span class="muted small">
              {problem.file !== '' && `${problem.file}${problem.line > 0 ? `:${problem.line}:${problem.column}` : ''} `}
              {problem.code}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
