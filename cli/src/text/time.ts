// Times and durations as text. Times are Unix milliseconds (number or bigint) or microseconds where the name says so.

/** RFC 3339 in UTC with milliseconds; null for 0, which means "never" on the wire. */
export function isoFromMs(ms: bigint): string | null {
  return ms === 0n ? null : new Date(Number(ms)).toISOString();
}

/** RFC 3339 in UTC with microseconds; null for 0. */
export function isoFromUs(us: bigint): string | null {
  if (us === 0n) return null;
  const whole = new Date(Number(us / 1000n)).toISOString();
  return `${whole.slice(0, -1)}${(us % 1000n).toString().padStart(3, '0')}Z`;
}

/** Local wall clock of a time in microseconds, "08:15:02.123"; on another day than `nowMs` (Unix milliseconds) "03-01 08:15:02". */
export function clockFromUs(us: bigint, nowMs: number): string {
  const date = new Date(Number(us / 1000n));
  const two = (part: number) => part.toString().padStart(2, '0');
  if (date.toDateString() !== new Date(nowMs).toDateString()) {
    const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  }
  const millis = date.getMilliseconds().toString().padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

const units: readonly (readonly [number, string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1000, 's'],
];

/** The two largest units of a duration in milliseconds: "3d4h", "2m5s", "0s". */
export function duration(ms: number): string {
  const parts: string[] = [];
  let rest = Math.max(0, Math.round(ms));
  for (const [size, unit] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (parts.length === 0 && unit === 's')) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join('');
}

/** How long ago, "5m10s ago"; "never" for 0; "in 5m" for what is still to come. */
export function ago(ms: bigint, now: number): string {
  if (ms === 0n) return 'never';
  const distance = now - Number(ms);
  return distance >= -999 ? `${duration(distance)} ago` : `in ${duration(-distance)}`;
}

/** A size in bytes with binary units, "1.5 GiB". */
export function size(bytes: bigint): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = Number(bytes);
  let index = 0;
  while (value >= 1024 && index < names.length - 1) {
    value /= 1024;
    index++;
  }
  return `${index === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${names[index]}`;
}
