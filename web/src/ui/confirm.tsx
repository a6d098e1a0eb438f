// A dialog that does one thing: says what will happen, does it, and stays open with the reason when the controller refuses.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { reloadStanding } from '../api/resource.js';
import { Button } from './controls.js';
import { Dialog } from './dialog.js';
import './parts.css';

export interface ActionDialogProps<T> {
  readonly title: string;
  /** What the button says: what it does. */
  readonly action: string;
  readonly danger?: boolean;
  readonly wide?: boolean;
  /** Something is missing: the button cannot be used. */
  readonly disabled?: boolean;
  readonly run: () => Promise<T>;
  /** Called with what came of it; without it, the dialog closes. */
  readonly onDone?: (result: T) => void;
  /** Called when it is given up, or done and there is no onDone. */
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** `run` rejects with what the controller said; then the dialog stays. */
export function ActionDialog<T>(props: ActionDialogProps<T>) {
  const { title, action, danger, wide, disabled, run, onDone, onClose, children } = props;
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState('');
  const go = () => {
    setBusy(true);
    setFailed('');
    run().then(
      (result) => {
        reloadStanding();
        if (onDone === undefined) onClose();
        else onDone(result);
      },
      (error: unknown) => {
        setFailed(error instanceof Error ? error.message : String(error));
        setBusy(false);
      },
    );
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      {...(wide === undefined ? {} : { wide })}
      actions={
        <Button kind={danger ? 'danger' : 'primary'} disabled={busy || (disabled ?? false)} onClick={go}>
          {busy ? `${action} …` : action}
        </Button>
      }
    >
      {children}
      {failed !== '' && (
        <p class="notice alarm" role="alert">
          {failed}
        </p>
      )}
    </Dialog>
  );
}
