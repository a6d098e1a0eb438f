// Text that was typed and not saved, while the page stays open: going elsewhere in it and coming back loses nothing. In memory only;
// leaving the page itself asks first. Signing out, and another operator, end it.

export interface Unsaved {
  /** What it was typed over. */
  readonly base: string;
  readonly text: string;
}

const kept = new Map<string, Unsaved>();

/** `undefined`: there is nothing unsaved under this name any more. */
export function keepUnsaved(name: string, value: Unsaved | undefined): void {
  if (value === undefined) kept.delete(name);
  else kept.set(name, value);
}

export function unsavedOf(name: string): Unsaved | undefined {
  return kept.get(name);
}

export function forgetUnsaved(): void {
  kept.clear();
}

if (typeof addEventListener === 'function') {
  addEventListener('beforeunload', (event) => {
    if (kept.size > 0) event.preventDefault();
  });
}
