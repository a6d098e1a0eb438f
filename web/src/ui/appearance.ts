// Light, dark, or as the system has it. Kept in the browser.
import { useEffect, useState } from 'preact/hooks';

export type Appearance = 'light' | 'dark' | 'system';

const KEY = 'ringfence-theme';
const changed = new Set<() => void>();
const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => {
  for (const listener of changed) listener();
});

export function appearance(): Appearance {
  const kept = localStorage.getItem(KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

export function setAppearance(wanted: Appearance): void {
  if (wanted === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, wanted);
  applyAppearance();
  for (const listener of changed) listener();
}

/** Puts the kept choice on the document. */
export function applyAppearance(): void {
  const wanted = appearance();
  if (wanted === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
}

/** What is shown now. */
export function useIsDark(): boolean {
  const now = () => (appearance() === 'system' ? dark.matches : appearance() === 'dark');
  const [is, setIs] = useState(now);
  useEffect(() => {
    const update = () => setIs(now());
    changed.add(update);
    return () => {
      changed.delete(update);
    };
  }, []);
  return is;
}

/** A colour of the theme as drawing code needs it: "#rrggbb", also where the style sheet was made shorter. */
export function themeColor(name: string): string {
  const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return /^#[0-9a-f]{3}$/i.test(text) ? text.replace(/[0-9a-f]/gi, '$&$&') : text;
}
