// Labels as tags.
import type { Label } from '../gen/ringfence/v1/common_pb.js';

export function Labels({
  labels,
  none = 'no labels',
}: {
  readonly labels: readonly Pick<Label, 'dimension' | 'value'>[];
  readonly none?: string;
}) {
  if (labels.length === 0) return <span class="muted">{none}</span>;
  return (
    <span class="tags">
      {labels.map(({ dimension, value }) => (
        <span class="tag" key={dimension}>
          <span class="dimension">{dimension}=</span>
          {value}
        </span>
      ))}
    </span>
  );
}
