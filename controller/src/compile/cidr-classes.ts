// IP lists to disjoint classes. A class is a set of lists; every address is in exactly one, found by the longest prefix. Only
// lists that a rule in force names take part. An exclusion ends a list inside it, whatever the list includes deeper down.
import { type AddressPrefix, mappedAddress, maskAddress, prefixContains, prefixKey } from '@ringfence/proto/address.js';
import type { CidrState } from '@ringfence/proto/instructions.js';
import type { IpList } from '../policy/model.js';
import type { ClassNumbers } from './types.js';

/** A prefix at which the lists that hold change. */
interface Region {
  readonly prefix: AddressPrefix;
  /** Sorted names of the lists that hold here and deeper, until a longer prefix. */
  readonly lists: readonly string[];
  readonly parent: Region | undefined;
}

/** All IPv4 addresses: an IPv6 prefix that reaches over them does not speak of them. */
const IPV4: AddressPrefix = { address: maskAddress(mappedAddress(new Uint8Array(4)), 96), length: 96 };

const NOTHING: readonly CidrState[] = [];

export class CidrClasses {
  #regions: readonly Region[] = [];
  #classes = new Map<string, number>();
  #byList = new Map<string, number[]>();
  readonly #views = new Map<string, readonly CidrState[]>();
  readonly #numbers: ClassNumbers;

  constructor(numbers: ClassNumbers) {
    this.#numbers = numbers;
  }

  /** Replaces the lists. */
  set(lists: readonly IpList[]): void {
    this.#views.clear();
    this.#regions = partition(lists);
    const keys = new Set(
      this.#regions.filter(({ lists: held }) => held.length > 0).map((region) => region.lists.join('\n')),
    );
    for (const key of this.#classes.keys()) if (!keys.has(key)) this.#numbers.release(key);
    this.#classes = new Map([...keys].sort().map((key) => [key, this.#numbers.numberOf(key)]));
    this.#byList = new Map();
    for (const [key, number] of this.#classes) {
      for (const list of key.split('\n')) {
        const classes = this.#byList.get(list);
        if (classes === undefined) this.#byList.set(list, [number]);
        else classes.push(number);
      }
    }
  }

  /** Classes in which a list holds. */
  classesOf(list: string): readonly number[] {
    return this.#byList.get(list) ?? [];
  }

  /**
   * What a host needs that has rules about these lists only: the prefixes at which one of them begins or ends to hold.
   * Sorted by prefix; shared between hosts with the same lists.
   */
  viewOf(lists: ReadonlySet<string>): readonly CidrState[] {
    if (lists.size === 0) return NOTHING;
    const key = [...lists].sort().join('\n');
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const relevant = (region: Region | undefined) => (region?.lists ?? []).filter((list) => lists.has(list)).join('\n');
    const view = this.#regions
      .filter((region) => relevant(region) !== relevant(region.parent))
      .map((region) => ({
        prefix: region.prefix,
        classId: relevant(region) === '' ? 0 : (this.#classes.get(region.lists.join('\n')) ?? 0),
      }));
    this.#views.set(key, view);
    return view;
  }
}

/** Regions sorted by prefix key: an enclosing prefix stands before what it encloses. */
function partition(lists: readonly IpList[]): Region[] {
  const marks = new Map<string, { prefix: AddressPrefix; include: string[]; exclude: string[] }>();
  const markAt = (prefix: AddressPrefix) => {
    const key = prefixKey(prefix);
    const mark = marks.get(key) ?? { prefix, include: [], exclude: [] };
    marks.set(key, mark);
    return mark;
  };
  for (const list of lists) {
    for (const prefix of list.include) markAt(prefix).include.push(list.name);
    for (const prefix of list.exclude) markAt(prefix).exclude.push(list.name);
  }
  if ([...marks.values()].some(({ prefix }) => prefix.length < 96 && prefixContains(prefix, IPV4.address)))
    markAt(IPV4);
  type Open = { region: Region; include: ReadonlySet<string>; exclude: ReadonlySet<string> };
  const open: Open[] = [];
  const regions: Region[] = [];
  for (const [, mark] of [...marks].sort(([a], [b]) => (a < b ? -1 : 1))) {
    while (open.length > 0) {
      const top = open.at(-1)?.region.prefix;
      if (top !== undefined && top.length <= mark.prefix.length && prefixContains(top, mark.prefix.address)) break;
      open.pop();
    }
    const above = open.at(-1);
    const fresh = mark.prefix.length === 96 && prefixContains(IPV4, mark.prefix.address);
    const include = new Set([...(fresh ? [] : (above?.include ?? [])), ...mark.include]);
    const exclude = new Set([...(fresh ? [] : (above?.exclude ?? [])), ...mark.exclude]);
    const held = [...include].filter((name) => !exclude.has(name)).sort();
    const region: Region = { prefix: mark.prefix, lists: held, parent: above?.region };
    open.push({ region, include, exclude });
    regions.push(region);
  }
  return regions;
}
