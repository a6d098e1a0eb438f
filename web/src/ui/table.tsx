// Long lists: sorted by a column, in pages, one row chosen by its first cell.
import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Button } from './controls.js';
import { count } from './format.js';

export interface Column<T> {
  readonly name: string;
  readonly cell: (row: T) => ComponentChildren;
  /** What to sort by; without it the column cannot be sorted by. */
  readonly sort?: (row: T) => number | string;
  readonly number?: boolean;
}

const ROWS_PER_PAGE = 100;

export function Table<T>(props: {
  /** What the rows are, for those who listen. */
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly chosen?: string | undefined;
  /** Called with a row when its first cell is activated. */
  readonly onChoose?: (row: T) => void;
  /** Index of the column to sort by at first; negative: descending. */
  readonly sortBy?: { readonly column: number; readonly descending: boolean };
}) {
  const { caption, columns, rows, keyOf, chosen, onChoose } = props;
  const [order, setOrder] = useState(props.sortBy);
  const [page, setPage] = useState(0);
  const sorted = useMemo(() => {
    const by = order === undefined ? undefined : columns[order.column]?.sort;
    if (by === undefined) return rows;
    const sign = order?.descending ? -1 : 1;
    return [...rows].sort((a, b) => {
      const [x, y] = [by(a), by(b)];
      return x === y ? 0 : x < y ? -sign : sign;
    });
  }, [rows, order, columns]);
  const pages = Math.max(1, Math.ceil(sorted.length / ROWS_PER_PAGE));
  const at = Math.min(page, pages - 1);
  const shown = sorted.slice(at * ROWS_PER_PAGE, (at + 1) * ROWS_PER_PAGE);
  const sortOf = (index: number) =>
    order?.column !== index ? 'none' : order.descending ? 'descending' : ('ascending' as const);
  return (
    <div class="stack">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section class="table-wrap" aria-label={caption} tabIndex={0}>
        <table class="table">
          <caption class="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column, index) => (
                <th key={column.name} scope="col" class={column.number ? 'number' : ''} aria-sort={sortOf(index)}>
                  {column.sort === undefined ? (
                    column.name
                  ) : (
                    <Button
                      onClick={() =>
                        setOrder({
                          column: index,
                          descending: order?.column === index ? !order.descending : Boolean(column.number),
                        })
                      }
                    >
                      {column.name}
                      {order?.column === index ? (order.descending ? ' ↓' : ' ↑') : ''}
                    </Button>
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => {
              const key = keyOf(row);
              return (
                <tr key={key} class={key === chosen ? 'chosen' : ''}>
                  {columns.map((column, index) => (
                    <td key={column.name} class={column.number ? 'number' : ''}>
                      {index === 0 && onChoose !== undefined ? (
                        <button
                          type="button"
                          class="button link"
                          aria-pressed={key === chosen}
                          onClick={() => onChoose(row)}
                        >
                          {column.cell(row)}
                        </button>
                      ) : (
                        column.cell(row)
                      )}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
      {pages > 1 && (
        <nav class="row" aria-label={`Pages of ${caption}`}>
          <Button small disabled={at === 0} onClick={() => setPage(at - 1)}>
            Previous
          </Button>
          <span class="muted">
            {count(at * ROWS_PER_PAGE + 1)}–{count(at * ROWS_PER_PAGE + shown.length)} of {count(sorted.length)}
          </span>
          <Button small disabled={at === pages - 1} onClick={() => setPage(at + 1)}>
            Next
          </Button>
        </nav>
      )}
    </div>
  );
}
