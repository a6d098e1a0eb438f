// Numbers and times as people read them.
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 1536 → "1.5 KiB". */
export function bytes(value: number): string {
  let [n, unit] = [value, 0];
  while (n >= 1024 && unit < UNITS.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${UNITS[unit]}`;
}

/** 1234567 → "1,234,567". */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** 1 → "1 node", 2 → "2 nodes". */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** 1234567 → "1.2 M". */
export function shortCount(value: number): string {
  if (value < 10_000) return count(value);
  if (value < 1_000_000) return `${(value / 1000).toFixed(value < 100_000 ? 1 : 0)} k`;
  return `${(value / 1_000_000).toFixed(1)} M`;
}

/** Microseconds as "2.5 s", "3 min". */
export function duration(us: number): string {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${Math.round(us / 1000)} ms`;
  const s = us / 1_000_000;
  if (s < 90) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`;
}

/** "21 Nov 11:20:05", local time. */
export function time(ms: number): string {
  if (ms <= 0) return 'never';
  const date = new Date(ms);
  const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
  return `${day} ${date.toLocaleTimeString('en-GB')}`;
}

/** "5 s ago", "in 3 min". */
export function ago(ms: number, nowMs: number): string {
  if (ms <= 0) return 'never';
  const passed = nowMs - ms;
  if (Math.abs(passed) < 1500) return 'just now';
  const text = duration(Math.abs(passed) * 1000);
  return passed > 0 ? `${text} ago` : `in ${text}`;
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6', 132: 'sctp' };

/** A service as policy files write it: "tcp/443", "icmp/8:0", "protocol/47". */
export function service(protocol: number, port: number): string {
  const name = PROTOCOLS[protocol];
  if (name === undefined) return `protocol/${protocol}`;
  return name.startsWith('icmp') ? `${name}/${port >> 8}:${port & 255}` : `${name}/${port}`;
}

/** An address from its bytes. */
export function address(ip: Uint8Array): string {
  const mapped = ip.length === 16 && ip.subarray(0, 10).every((b) => b === 0) && ip[10] === 255 && ip[11] === 255;
  if (ip.length === 4 || mapped) return [...ip.subarray(mapped ? 12 : 0)].join('.');
  const words = Array.from({ length: 8 }, (_, i) => (((ip[2 * i] ?? 0) << 8) | (ip[2 * i + 1] ?? 0)).toString(16));
  const text = words.join(':');
  // RFC 5952: the longest run of zeros is left out, the first of several; one zero is none.
  const longest = [...text.matchAll(/\b0(?::0)+\b/g)].sort((a, b) => b[0].length - a[0].length)[0];
  if (longest === undefined) return text;
  const rest = text.slice(longest.index + longest[0].length);
  return `${text.slice(0, longest.index).replace(/:$/, '')}::${rest.replace(/^:/, '')}`;
}
