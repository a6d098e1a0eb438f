// Labels as one edits them: a row each.
import { useId, useRef } from 'preact/hooks';
import type { Dimension } from '../gen/ringfence/v1/admin_labels_pb.js';
import { Button } from './controls.js';
import './parts.css';

export interface LabelRow {
  readonly dimension: string;
  readonly value: string;
}

/** `dimensions`: offered while typing, with their permitted or used values. */
export function LabelRows(props: {
  readonly rows: readonly LabelRow[];
  readonly dimensions: readonly Dimension[];
  readonly onChange: (rows: readonly LabelRow[]) => void;
}) {
  const { rows, dimensions, onChange } = props;
  const id = useId();
  const box = useRef<HTMLFieldSetElement>(null);
  const change = (at: number, row: Partial<LabelRow>) =>
    onChange(rows.map((each, index) => (index === at ? { ...each, ...row } : each)));
  const add = () => {
    onChange([...rows, { dimension: '', value: '' }]);
    // Into the new row, once it is there.
    setTimeout(() => box.current?.querySelector<HTMLInputElement>('.row:last-of-type input')?.focus());
  };
  return (
    <fieldset class="rows-edit bare" aria-label="Labels" ref={box}>
      <datalist id={`${id}-d`}>
        {dimensions.map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {rows.map(({ dimension, value }, index) => {
        const found = dimensions.find(({ name }) => name === dimension);
        const values = found === undefined ? [] : [...new Set([...found.permitted, ...found.used.map((u) => u.value)])];
        return (
          <div class="row" key={index}>
            <input
              class="input"
              aria-label={`Dimension of label ${index + 1}`}
              placeholder="role"
              value={dimension}
              list={`${id}-d`}
              spellcheck={false}
              onInput={(event) => change(index, { dimension: event.currentTarget.value.trim() })}
            />
            <span aria-hidden="true">=</span>
            <input
              class="input"
              aria-label={dimension === '' ? `Value of label ${index + 1}` : `Value of ${dimension}`}
              placeholder="web"
              value={value}
              list={`${id}-v${index}`}
              spellcheck={false}
              onInput={(event) => change(index, { value: event.currentTarget.value })}
            />
            <datalist id={`${id}-v${index}`}>
              {values.map((each) => (
                <option key={each} value={each} />
              ))}
            </datalist>
            <Button
              kind="plain"
              small
              icon="close"
              label={`Remove label ${dimension || index + 1}`}
              onClick={() => onChange(rows.filter((_, at) => at !== index))}
            />
          </div>
        );
      })}
      <div>
        <Button small icon="plus" onClick={add}>
          Add a label
        </Button>
      </div>
    </fieldset>
  );
}

export interface LabelChanges {
  readonly set: LabelRow[];
  /** Dimensions. */
  readonly remove: string[];
  /** In words. */
  readonly lines: string[];
  /** A dimension that stands there twice; empty: none does. */
  readonly twice: string;
}

/** What leads from labels to what the rows say. Rows without a dimension or value say nothing. */
export function labelChanges(before: readonly LabelRow[], rows: readonly LabelRow[]): LabelChanges {
  const named = rows.filter(({ dimension, value }) => dimension !== '' && value !== '');
  const old = new Map(before.map(({ dimension, value }) => [dimension, value]));
  const now = new Map(named.map(({ dimension, value }) => [dimension, value]));
  const twice = named.find(({ dimension }, index) => named.findIndex((row) => row.dimension === dimension) !== index);
  const set = named.filter(({ dimension, value }) => old.get(dimension) !== value);
  const remove = [...old.keys()].filter((dimension) => !now.has(dimension));
  const lines = [
    ...set.map(({ dimension, value }) =>
      old.has(dimension) ? `${dimension}: ${old.get(dimension)} becomes ${value}` : `${dimension}=${value} is new`,
    ),
    ...remove.map((dimension) => `${dimension}=${old.get(dimension)} is taken away`),
  ];
  return { set, remove, lines, twice: twice?.dimension ?? '' };
}
