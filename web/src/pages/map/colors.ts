// The colours of a drawing, from the theme.
import { themeColor } from '../../ui/appearance.js';
import type { VerdictName } from '../../ui/verdict.js';

export interface Colors {
  readonly text: string;
  readonly surface: string;
  readonly line: string;
  readonly node: string;
  readonly faint: string;
  readonly verdicts: Readonly<Record<VerdictName, string>>;
}

/** How much of a faded colour is left. */
const FADED = 0.14;

/** As "#rrggbb": the graphics card takes no other. */
export function readColors(): Colors {
  const names: readonly VerdictName[] = ['allowed', 'would', 'blocked', 'unknown'];
  return {
    text: themeColor('text'),
    surface: themeColor('surface'),
    line: themeColor('line-strong'),
    node: themeColor('accent'),
    faint: themeColor('line'),
    verdicts: Object.fromEntries(names.map((name) => [name, themeColor(name)])) as Colors['verdicts'],
  };
}

const known = new Map<string, string>();

/** A colour, hardly there on a ground. Opaque: the graphics card adds up what shines through. */
export function faded(color: string, ground: string): string {
  const key = `${color} ${ground}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const at = (text: string, index: number) => Number.parseInt(text.slice(1 + 2 * index, 3 + 2 * index), 16);
  const parts = [0, 1, 2].map((index) => Math.round(at(color, index) * FADED + at(ground, index) * (1 - FADED)));
  const text = `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
  known.set(key, text);
  return text;
}
