// Short news of what was done, also for those who listen.
import { useEffect, useState } from 'preact/hooks';
import { Button } from './controls.js';

interface News {
  readonly id: number;
  readonly text: string;
  readonly kind: 'good' | 'alarm';
}

const SHOWN_MS = 8000;
let next = 1;
let show: (news: News) => void = () => {};

/** Says it to whoever looks at the page. Failures stay until they are closed. */
export function tell(text: string, kind: News['kind'] = 'good'): void {
  show({ id: next++, text, kind });
}

/** Says that something did not work. */
export function tellError(error: unknown): void {
  tell(error instanceof Error ? error.message : String(error), 'alarm');
}

export function Toasts() {
  const [all, setAll] = useState<readonly News[]>([]);
  useEffect(() => {
    show = (news) => {
      setAll((before) => [...before.slice(-3), news]);
      if (news.kind === 'good') setTimeout(() => setAll((now) => now.filter(({ id }) => id !== news.id)), SHOWN_MS);
    };
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {all.map(({ id, text, kind }) => (
        <div key={id} class={`notice ${kind}`}>
          <span class="grow">{text}</span>
          <Button
            kind="plain"
            small
            icon="close"
            label="Dismiss"
            onClick={() => setAll((now) => now.filter((n) => n.id !== id))}
          />
        </div>
      ))}
    </div>
  );
}
