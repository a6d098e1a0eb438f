import { usageError } from '../errors.js';
import type { Words } from '../views/words.js';

/** Numbers of enum words, several between commas. Throws a usage error that lists the words. */
export function parseWords(texts: readonly string[], words: Words, option: string): number[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => {
      const value = words.parse(text.trim());
      if (value !== undefined && value !== words.parse('unspecified')) return value;
      throw usageError(`Cannot read ${option}`, `found ${JSON.stringify(text)}`, `one of ${words.all.join(', ')}`);
    });
}
