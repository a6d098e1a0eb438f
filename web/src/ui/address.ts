// Addresses as people write them.

/** 4 or 16 bytes of an address in text; undefined when it is none. */
export function readAddress(text: string): Uint8Array<ArrayBuffer> | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (v4 !== null) {
    const parts = v4.slice(1);
    if (parts.some((part) => Number(part) > 255 || (part.length > 1 && part.startsWith('0')))) return undefined;
    return Uint8Array.from(parts, Number);
  }
  if (!/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text)) return undefined;
  let canonical: string;
  try {
    // The URL parser reads every form of RFC 4291 and writes the short one, without dots.
    canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
  const [head = '', tail] = canonical.split('::', 2);
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const [before, after] = [words(head), words(tail ?? '')];
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 255]));
}
