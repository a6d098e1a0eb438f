// A dialog over the page: the browser keeps the focus inside, Escape closes.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Button } from './controls.js';
import { catchFocus } from './focus.js';

export function Dialog(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly wide?: boolean;
  readonly children: ComponentChildren;
  /** Buttons; the one that closes stands first by itself. */
  readonly actions?: ComponentChildren;
}) {
  const { title, onClose, wide, children, actions } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
      catchFocus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${wide ? 'wide' : ''}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={titleId}>{title}</h2>
        <Button kind="plain" icon="close" label="Close" onClick={onClose} />
      </header>
      <div class="content">{children}</div>
      <footer>
        <Button onClick={onClose}>Close</Button>
        {actions}
      </footer>
    </dialog>
  );
}
