// Parts of a page, each at its own address.
import { linkTo } from '../location.js';
import './parts.css';

export interface Tab<T extends string> {
  readonly id: T;
  readonly title: string;
  /** Shown beside the title; 0 or undefined: nothing. */
  readonly count?: number | undefined;
  /** A dot beside the title: there is something to see, of which nobody keeps count. */
  readonly dot?: boolean;
  readonly tone?: 'warning' | 'alarm' | 'info';
}

/** Links to the same page with `tab` in the query; the first tab needs none. */
export function Tabs<T extends string>(props: {
  readonly label: string;
  readonly path: string;
  readonly tabs: readonly Tab<T>[];
  readonly current: T;
}) {
  const { label, path, tabs, current } = props;
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ id, title, count = 0, dot = false, tone = 'info' }, index) => (
        <a
          key={id}
          {...linkTo(path, index === 0 ? {} : { tab: id })}
          aria-current={id === current ? 'page' : undefined}
        >
          {title}
          {count > 0 && <span class={`mark ${tone}`}>{count}</span>}
          {dot && <span class={`dot ${tone}`} aria-hidden="true" />}
        </a>
      ))}
    </nav>
  );
}

/** The tab that the query names, else the first. */
export function tabOf<T extends string>(query: URLSearchParams, tabs: readonly { readonly id: T }[]): T {
  const asked = query.get('tab');
  const [first] = tabs;
  if (first === undefined) throw new RangeError('Cannot choose a tab: found none, wanted at least one');
  return tabs.find(({ id }) => id === asked)?.id ?? first.id;
}
