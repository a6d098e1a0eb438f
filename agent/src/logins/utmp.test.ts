import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utmpRecord } from '../testing/utmp-records.js';
import { USERS_MAX } from './login-source.js';
import { RECORD_BYTES, utmpUsers } from './utmp.js';

const all = () => true;
const file = (...records: Parameters<typeof utmpRecord>[0][]) => Buffer.concat(records.map(utmpRecord));

describe('utmpUsers', () => {
  test('each user with a live session once, sorted; boot, dead and nameless records are nobody', () => {
    const bytes = file(
      { type: 2, user: 'reboot' },
      { user: 'ben' },
      { user: 'anna' },
      { user: 'ben' },
      { type: 8, user: 'eve' },
      {},
    );
    expect(utmpUsers(bytes, all)).toEqual(['anna', 'ben']);
  });

  test('a session whose process is gone has ended, whatever the record says; pid 0 and below are no processes', () => {
    const bytes = file(
      { user: 'anna', pid: 10 },
      { user: 'ben', pid: 20 },
      { user: 'eve', pid: 0 },
      { user: 'zoe', pid: -4 },
    );
    expect(utmpUsers(bytes, (pid) => pid !== 20)).toEqual(['anna']);
  });

  test('a name may fill its field; one that is no text is passed over', () => {
    const long = 'x'.repeat(32);
    const bytes = file({ user: long }, { user: Buffer.from([0xff, 0xfe, 0x41]) }, { user: 'a\nb' }, { user: 'zoë' });
    expect(utmpUsers(bytes, all)).toEqual([long, 'zoë']);
  });

  test('a record that is cut short counts for nothing, at every length', () => {
    const bytes = file({ user: 'anna' }, { user: 'ben' });
    for (let length = 0; length <= bytes.length; length += 1) {
      const whole = Math.floor(length / RECORD_BYTES);
      expect(utmpUsers(bytes.subarray(0, length), all)).toEqual(['anna', 'ben'].slice(0, whole));
    }
  });

  test('no content makes it fail, or name more than the bound', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4 * RECORD_BYTES }), (bytes) => {
        const users = utmpUsers(bytes, all);
        expect(users.every((user) => user !== '' && user.length <= 32)).toBe(true);
      }),
    );
    const many = file(...Array.from({ length: USERS_MAX + 50 }, (_, i) => ({ user: `u${i}` })));
    expect(utmpUsers(many, all)).toHaveLength(USERS_MAX);
  });
});
