import { describe, expect, it } from 'vitest';
import { EVENT_COLUMNS, EventColumns } from './events.js';
import { cName } from './layout.js';
import { EVENT, NAT_KEY, PEER, PORT_KEY, STRUCTS } from './structs.js';

const addr = new Uint8Array(16).fill(7);

describe('codec', () => {
  it('encode, writes ports in network order and numbers little-endian', () => {
    const bytes = NAT_KEY.encode({ space: 1, port: 0x1234, proto: 6, addr });
    expect([...bytes.subarray(0, 8)]).toEqual([1, 0, 0, 0, 0x12, 0x34, 6, 0]);
    expect(NAT_KEY.decode(bytes)).toEqual({ space: 1, port: 0x1234, proto: 6, addr });
  });

  it('encodeInto, clears padding and leaves the rest alone', () => {
    const target = new Uint8Array(PORT_KEY.size + 2).fill(0xff);
    PORT_KEY.encodeInto({ prefixlen: 64, group: 2, proto: 17, port: 53 }, target, 1);
    expect([...target]).toEqual([0xff, 64, 0, 0, 0, 2, 0, 0, 0, 17, 0, 0, 53, 0xff]);
  });

  it.each([
    [{ identity: -1, flags: 0 }, 'rf_peer.identity: found -1'],
    [{ identity: 2 ** 32, flags: 0 }, 'rf_peer.identity: found 4294967296'],
    [{ identity: 1.5, flags: 0 }, 'rf_peer.identity: found 1.5'],
    [{ flags: 0 } as never, 'rf_peer.identity: found undefined'],
  ])('encode %j, is refused with the member', (value, message) => {
    expect(() => PEER.encode(value)).toThrow(message);
  });

  it('encode, refuses an address of another length', () => {
    expect(() => NAT_KEY.encode({ space: 0, port: 1, proto: 6, addr: new Uint8Array(4) })).toThrow('found 4 bytes');
  });

  it('decode, refuses what is too short', () => {
    expect(() => PEER.decode(new Uint8Array(7))).toThrow('found 7 bytes, wanted 8');
  });

  it('fields, lie inside their struct without overlap or hole', () => {
    for (const { name, size, fields } of STRUCTS) {
      let end = 0;
      for (const [key, field] of Object.entries(fields)) {
        expect([name, key, field.offset]).toEqual([name, key, end]);
        end = field.offset + field.size;
      }
      expect([name, end]).toEqual([name, size]);
    }
  });

  it('cName, gives the member in C', () => {
    expect(cName('remotePort', { kind: 'be16', offset: 0, size: 2 })).toBe('remote_port_be');
    expect(cName('firstSeenNs', { kind: 'u64', offset: 0, size: 8 })).toBe('first_seen_ns');
  });
});

describe('EventColumns', () => {
  const event = {
    ...EVENT.decode(new Uint8Array(EVENT.size)),
    timeNs: 2n ** 40n + 5n,
    remote: addr,
    remotePort: 443,
    rule: 9,
    attempts: 3,
    kind: 5,
    comm: 'nginx',
  };
  const two = new Uint8Array(2 * EVENT.size);
  EVENT.encodeInto(event, two, EVENT.size);
  const columns = new EventColumns(two.buffer);

  it('reads by row and column, the same as decode', () => {
    expect(columns.count).toBe(2);
    expect(columns.u64(1, EVENT_COLUMNS.timeNs)).toBe(event.timeNs);
    expect(columns.number64(1, EVENT_COLUMNS.timeNs)).toBe(Number(event.timeNs));
    expect(columns.port(1, EVENT_COLUMNS.remotePort)).toBe(443);
    expect(columns.u32(1, EVENT_COLUMNS.rule)).toBe(9);
    expect(columns.u16(1, EVENT_COLUMNS.attempts)).toBe(3);
    expect(columns.u8(1, EVENT_COLUMNS.kind)).toBe(5);
    expect(columns.text(1, EVENT_COLUMNS.comm)).toBe('nginx');
    expect([...columns.address(1, EVENT_COLUMNS.remote)]).toEqual([...addr]);
    expect(columns.u32(0, EVENT_COLUMNS.rule)).toBe(0);
  });

  it('a torn batch, is refused', () => {
    expect(() => new EventColumns(new ArrayBuffer(200))).toThrow('Cannot read events');
    expect(() => columns.u32(2, 0)).toThrow(RangeError);
  });
});
