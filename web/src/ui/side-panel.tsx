// What is known of the chosen row, beside its list. Opening it takes the focus to its heading, closing it gives the focus back.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Button } from './controls.js';
import './parts.css';

/** `kind`: what it is, `title`: which one. Escape closes it. */
export function SidePanel(props: {
  readonly kind: string;
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /** Buttons below the heading. */
  readonly actions?: ComponentChildren;
}) {
  const { kind, title, onClose, children, actions } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  const opener = useRef<Element | null>(null);
  useEffect(() => {
    const from = document.activeElement;
    // A row that was chosen; a panel that stands in the address from the start leaves the focus where it is.
    if (!(from instanceof HTMLElement) || from.closest('table') === null) return;
    opener.current = from;
    heading.current?.focus();
  }, [title]);
  const close = () => {
    onClose();
    if (opener.current instanceof HTMLElement && opener.current.isConnected) opener.current.focus();
  };
  return (
    <aside
      class="side"
      aria-label={`${kind} ${title}`}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open]') !== null) return;
        close();
      }}
    >
      <header>
        <div class="grow">
          <h3>{kind}</h3>
          <h2 ref={heading} tabIndex={-1}>
            {title}
          </h2>
        </div>
        <Button kind="plain" small icon="close" label="Close details" onClick={close} />
      </header>
      {actions && <div class="row side-actions">{actions}</div>}
      <div class="stack">{children}</div>
    </aside>
  );
}

/** A part of a panel or page under a small heading. */
export function Section({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <section class="section" aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

export type Fact = readonly [name: string, value: ComponentChildren];

/** Names and values; what has no value is left out. */
export function Facts({ rows }: { readonly rows: readonly Fact[] }) {
  const known = rows.filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  if (known.length === 0) return null;
  return (
    <dl class="facts">
      {known.map(([name, value]) => (
        <>
          <dt key={name}>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}
