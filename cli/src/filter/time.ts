import { usageError } from '../errors.js';

/** How times are written, for help. */
export const timeSyntax = 'how long ago (90s, 15m, 2h, 7d) or a time (2026-03-01, 2026-03-01T08:30, 08:30, ...Z)';

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const instant = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** Milliseconds of a duration: "90s", "1h30m", "2d". Undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+[smhdw])+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw])/g)) total += Number(count) * (unitMs[unit ?? ''] ?? 0);
  return total;
}

/** Milliseconds of a duration within bounds. Throws a usage error that names the option. */
export function parseDurationOption(
  text: string,
  option: string,
  minMs: number,
  maxMs: number,
  bounds: string,
): number {
  const value = parseDuration(text);
  if (value !== undefined && value >= minMs && value <= maxMs) return value;
  throw usageError(
    `Cannot read ${option}`,
    `found ${JSON.stringify(text)}`,
    `a duration such as 90s, 15m, 2h, 7d; ${bounds}`,
  );
}

/**
 * Unix microseconds of a time as written. A date without a zone is local time, a bare clock time is today's (the controller compares with packet times).
 * `now` in Unix milliseconds. Throws a usage error.
 */
export function parseTime(text: string, option: string, now: number): bigint {
  const ago = parseDuration(text);
  if (ago !== undefined && ago >= now)
    throw usageError(`Cannot read ${option}`, `found ${JSON.stringify(text)}, which is before 1970`, timeSyntax);
  if (ago !== undefined) return BigInt(Math.round(now - ago)) * 1000n;
  if (text === 'now') return BigInt(Math.round(now)) * 1000n;
  const clock = /^(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(text);
  const parsed = clock === null ? instantMs(text) : todayMs(clock, now);
  if (parsed === undefined || !(parsed > 0)) {
    throw usageError(`Cannot read ${option}`, `found ${JSON.stringify(text)}`, timeSyntax);
  }
  return BigInt(Math.round(parsed)) * 1000n;
}

function instantMs(text: string): number | undefined {
  if (!instant.test(text)) return undefined;
  // A date alone would be read as UTC by the language; people mean their own midnight.
  const spelt = text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T');
  return Date.parse(spelt);
}

function todayMs(clock: RegExpExecArray, now: number): number | undefined {
  const [, hours, minutes, seconds = '0'] = clock;
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  return new Date(now).setHours(Number(hours), Number(minutes), Number(seconds), 0);
}
