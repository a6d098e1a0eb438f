import picocolors from 'picocolors';

/** What a piece of text means; colour follows meaning, and meaning never depends on colour alone. */
export type Tone = 'good' | 'warn' | 'bad' | 'dim' | 'strong' | 'accent';

/** Puts colour on text, or leaves it alone. */
export type Style = (tone: Tone | undefined, text: string) => string;

/** No colour at all. */
export const plain: Style = (_tone, text) => text;

/** Colour for terminals. */
export const coloured: Style = (() => {
  const colours = picocolors.createColors(true);
  const byTone: Record<Tone, (text: string) => string> = {
    good: colours.green,
    warn: colours.yellow,
    bad: (text) => colours.bold(colours.red(text)),
    dim: colours.dim,
    strong: colours.bold,
    accent: colours.cyan,
  };
  return (tone, text) => (tone === undefined || text === '' ? text : byTone[tone](text));
})();

/**
 * Colour only on a terminal that can show it. `--no-color` and a NO_COLOR that is set and not empty always win; FORCE_COLOR
 * (not empty, not "0") gives colour where there is no terminal.
 */
export function chooseStyle(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
  wanted: boolean,
): Style {
  if (!wanted || env.NO_COLOR) return plain;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== '0') return coloured;
  return isTerminal && env.TERM !== 'dumb' ? coloured : plain;
}
