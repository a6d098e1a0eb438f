/**
 * `count` distinct IPv4 addresses of policy members, spread over 10.0.0.0/9 so that no prefix covers them: an exact set is what
 * is compared. The client's own address stands at a place that no structure favours.
 */
export function memberAddresses(count: number, client: string): string[] {
  const addresses: string[] = [];
  for (let i = 0; addresses.length < count - 1; i++) {
    // An odd multiplier modulo 2^23 visits every number once, in an order without runs.
    const n = (i * 0x2f0b4d + 0x1357) & 0x7fffff;
    const text = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
    if (text !== client) addresses.push(text);
  }
  addresses.splice(addresses.length >> 1, 0, client);
  return addresses;
}
