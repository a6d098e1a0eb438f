// In-band tags in the kernel: tables and the program that writes them come and go with the switch, outlive the process, and are put
// back when someone takes them away. What they do to packets: bpf/tests and lab/scenarios.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { ABI_VERSION, TAG_KEY, TAGS, TagsFlag } from '@ringfence/bpf';
import { BpfLink, BpfMap } from '@ringfence/native';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emptyInstructions } from '../desired/instructions.js';
import { computeDesired } from '../desired/renderer.js';
import { type TagSettings, tagTables } from '../desired/tags.js';
import { Datapath } from './datapath.js';
import { clearTagPins } from './tag-maps.js';
import { CGROUP_ROOT, copyObjects, makeBed, PIN_PATH, removeBed } from './testing/bed.js';

const PINS = `${PIN_PATH}/v${ABI_VERSION}`;
const LINK = 'cg_rf_sock_ops';
const NOW = 1_800_000_000_000;
const settings: TagSettings = {
  mode: 'peers',
  epochs: [6, 7, 8].map((epoch, i) => ({
    epoch,
    key: new Uint8Array(16).fill(epoch),
    fromMs: NOW + (i - 1) * 60_000,
    untilMs: i === 0 ? NOW + 5000 : 0,
  })),
};
const on = tagTables(settings, NOW, 1000);
const off = tagTables(undefined, NOW, 1000);

let datapath: Datapath;

function open(objectDir?: string): Datapath {
  const sizes = { ringBytes: 65_536, denyRingBytes: 65_536 };
  return Datapath.open({ pinPath: PIN_PATH, cgroupRoot: CGROUP_ROOT, ...sizes, ...(objectDir && { objectDir }) });
}

/** No workload of the host: nothing but tags wants hooks at the cgroup root. */
const nothing = () =>
  computeDesired(emptyInstructions(), [], { unassigned: 'visibility', rejectMode: 'policy', failsafes: [] });

/** What the pinned tables hold: the switch, and epochs by slot. */
function inKernel(): { readonly tags: unknown; readonly epochs: number[] } {
  using tags = BpfMap.fromPin(`${PINS}/maps/rf_tags`);
  using keys = BpfMap.fromPin(`${PINS}/maps/rf_tag_keys`);
  const value = tags.lookup(new Uint8Array(4));
  const { values, count } = keys.dump();
  const epochs = Array.from({ length: count }, (_, i) => TAG_KEY.decode(values, i * TAG_KEY.size).epoch);
  return { tags: value && TAGS.decode(value), epochs: epochs.sort() };
}

beforeAll(async () => {
  await makeBed();
  datapath = open();
  expect(await datapath.apply(nothing())).toMatchObject({ kind: 'ok' });
});
afterAll(() => {
  datapath?.detachAll();
  removeBed();
});
beforeEach(() => datapath.setTags(off));

describe('Datapath.setTags', () => {
  it('on, fills the tables and attaches what writes; off, takes both away', () => {
    expect([...datapath.linkIds.keys()]).toEqual([]);
    datapath.setTags(on);
    expect(inKernel()).toEqual({
      tags: {
        clockNs: BigInt(NOW - 1000) * 1_000_000n,
        nextFromNs: BigInt(NOW + 60_000) * 1_000_000n,
        epoch: 7,
        nextEpoch: 8,
        flags: TagsFlag.WRITE | TagsFlag.VERIFY,
      },
      epochs: [6, 7, 8],
    });
    expect([...datapath.linkIds.keys()].sort()).toEqual(['cg_rf_connect4', 'cg_rf_connect6', LINK]);
    expect(datapath.status().tags).toMatchObject({ canWrite: true, writes: true, tally: { written: 0n, valid: 0n } });
    datapath.setTags(off);
    expect(inKernel()).toEqual({ tags: undefined, epochs: [] });
    expect([...datapath.linkIds.keys()]).toEqual([]);
  });

  it('fewer epochs, are what is left', () => {
    datapath.setTags(on);
    datapath.setTags(tagTables({ ...settings, epochs: settings.epochs.slice(1) }, NOW, 1000));
    expect(inKernel().epochs).toEqual([7, 8]);
  });

  it('outlives the process: the next one finds link and tables as they were', async () => {
    datapath.setTags(on);
    const link = datapath.linkIds.get(LINK);
    datapath.close();
    datapath = open();
    expect(await datapath.apply(nothing())).toMatchObject({ kind: 'ok' });
    expect(datapath.linkIds.get(LINK)).toBe(link);
    expect(datapath.status().tags.writes).toBe(true);
    expect(inKernel().epochs).toEqual([6, 7, 8]);
  });

  it('a hook that someone detached, is put back', () => {
    datapath.setTags(on);
    using link = BpfLink.fromPin(`${PINS}/links/${LINK}`);
    link.detach();
    expect(datapath.verify()).toEqual({ reattached: [LINK], broken: [] });
  });

  it('a kernel that refuses the program, writes none and still reads', async () => {
    datapath.detachAll();
    const objectDir = copyObjects();
    // Another type's program under its name: refused as a kernel refuses what it does not know.
    copyFileSync(join(objectDir, 'connect4.bpf.o'), join(objectDir, 'sock_ops.bpf.o'));
    try {
      datapath = open(objectDir);
      expect(await datapath.apply(nothing())).toMatchObject({ kind: 'ok' });
      expect(Object.keys(datapath.status().missing)).toEqual(['rf_sock_ops']);
      datapath.setTags(on);
      expect(datapath.status().tags).toMatchObject({ canWrite: false, writes: false });
      expect(inKernel().epochs).toEqual([6, 7, 8]);
      expect([...datapath.linkIds.keys()]).toEqual([]);
    } finally {
      datapath.detachAll();
      datapath = open();
      await datapath.apply(nothing());
    }
  });

  it('without a process, the pinned tables can be emptied', () => {
    datapath.setTags(on);
    clearTagPins(`${PINS}/maps`);
    expect(inKernel()).toEqual({ tags: undefined, epochs: [] });
    clearTagPins(`${PINS}/nowhere`);
  });
});
