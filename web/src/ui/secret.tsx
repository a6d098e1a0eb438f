// A secret that is shown once, with a way to take it along.
import { useRef, useState } from 'preact/hooks';
import { Button } from './controls.js';
import './parts.css';

/** Text of one line that is copied whole; selected when it gets the focus, where copying by button is not permitted. */
export function CopyText({ label, text }: { readonly label: string; readonly text: string }) {
  const [copied, setCopied] = useState('');
  const field = useRef<HTMLInputElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied('Copied');
    } catch {
      field.current?.select();
      setCopied('Press Ctrl+C');
    }
  };
  return (
    <div class="field">
      <span>{label}</span>
      <div class="copy-text">
        <input
          ref={field}
          class="input mono"
          readOnly
          value={text}
          aria-label={label}
          onFocus={(event) => event.currentTarget.select()}
        />
        <Button icon="copy" onClick={copy}>
          Copy
        </Button>
        <span class="muted small" role="status">
          {copied}
        </span>
      </div>
    </div>
  );
}

/** Says that this is the only time. */
export function ShownOnce({ what }: { readonly what: string }) {
  return (
    <p class="notice warning">
      This is the only time that the {what} is shown. The controller keeps no copy that could be read again: take it
      along now.
    </p>
  );
}
