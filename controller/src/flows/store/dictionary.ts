// Ends, label sets and texts of the store, each once: rows hold numbers. All of it is in memory, as it is far smaller than the records;
// entries that are new wait here until the transaction that stores them has committed.
import type { DuckDBConnection } from '@duckdb/node-api';
import type { FlowEndInfo } from '../block.js';
import type { FilterDictionary } from './sql-filter.js';

export const DICTIONARY_DDL = [
  'CREATE TABLE IF NOT EXISTS flow_label_sets (id UINTEGER NOT NULL, labels VARCHAR NOT NULL)',
  `CREATE TABLE IF NOT EXISTS flow_ends (id UINTEGER NOT NULL, workload_id VARCHAR NOT NULL, workload_name VARCHAR NOT NULL,
    host_id VARCHAR NOT NULL, identity UINTEGER NOT NULL, label_set UINTEGER NOT NULL)`,
  'CREATE TABLE IF NOT EXISTS flow_strings (id UINTEGER NOT NULL, text VARCHAR NOT NULL)',
];

/** Numbers for texts, from 0 upwards. */
class Numbered {
  readonly texts: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** Entries below are on disk. */
  stored = 0;

  numberOf(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.texts.length);
    return this.texts.push(text) - 1;
  }

  find(text: string): number | undefined {
    return this.#numbers.get(text);
  }
}

export class Dictionary implements FilterDictionary {
  readonly #strings = new Numbered();
  readonly #labelSets = new Numbered();
  /** By everything that an end is. */
  readonly #endKeys = new Numbered();
  readonly #ends: FlowEndInfo[] = [];
  readonly #lists = new WeakMap<readonly FlowEndInfo[], Uint32Array>();

  /** Reads what is stored. The tables hold the numbers 0, 1, … without a gap. */
  static async load(connection: DuckDBConnection): Promise<Dictionary> {
    const dictionary = new Dictionary();
    for (const [text] of await rows(connection, 'SELECT text FROM flow_strings ORDER BY id')) {
      dictionary.#strings.numberOf(String(text));
    }
    for (const [labels] of await rows(connection, 'SELECT labels FROM flow_label_sets ORDER BY id')) {
      dictionary.#labelSets.numberOf(String(labels));
    }
    const labelSets = dictionary.#labelSets.texts.map((text) => JSON.parse(text) as Record<string, string>);
    for (const [id, name, host, identity, set] of await rows(
      connection,
      'SELECT workload_id, workload_name, host_id, identity, label_set FROM flow_ends ORDER BY id',
    )) {
      dictionary.endNumber({
        workloadId: String(id),
        workloadName: String(name),
        hostId: String(host),
        identity: Number(identity),
        labels: labelSets[Number(set)] ?? {},
      });
    }
    dictionary.#markStored();
    return dictionary;
  }

  stringNumber(text: string): number {
    return this.#strings.numberOf(text);
  }

  stringAt(number: number): string {
    return this.#strings.texts[number] ?? '';
  }

  endNumber(info: FlowEndInfo): number {
    const labelSet = this.#labelSets.numberOf(JSON.stringify(info.labels, Object.keys(info.labels).sort()));
    const { workloadId, workloadName, hostId, identity } = info;
    const number = this.#endKeys.numberOf(JSON.stringify([workloadId, workloadName, hostId, identity, labelSet]));
    if (number === this.#ends.length) this.#ends.push(info);
    return number;
  }

  /** Numbers of a list of ends, in its order. A list is looked through once, then only what was added to it. */
  endNumbers(ends: readonly FlowEndInfo[]): Uint32Array {
    const known = this.#lists.get(ends) ?? new Uint32Array(0);
    if (known.length === ends.length) return known;
    const numbers = new Uint32Array(ends.length);
    numbers.set(known);
    for (let i = known.length; i < ends.length; i += 1) numbers[i] = this.endNumber(ends[i] as FlowEndInfo);
    this.#lists.set(ends, numbers);
    return numbers;
  }

  endAt(number: number): FlowEndInfo | undefined {
    return this.#ends[number];
  }

  get ends(): readonly FlowEndInfo[] {
    return this.#ends;
  }

  endsThat(matches: (info: FlowEndInfo) => boolean): number[] {
    return this.#ends.flatMap((info, number) => (matches(info) ? number : []));
  }

  stringIds(texts: readonly string[]): number[] {
    return texts.flatMap((text) => this.#strings.find(text) ?? []);
  }

  /** Writes what is new, inside the caller's transaction. Call `committed` once that has committed. */
  async store(connection: DuckDBConnection): Promise<void> {
    await append(connection, 'flow_strings', this.#strings);
    await append(connection, 'flow_label_sets', this.#labelSets);
    if (this.#endKeys.stored === this.#endKeys.texts.length) return;
    const appender = await connection.createAppender('flow_ends');
    for (let number = this.#endKeys.stored; number < this.#ends.length; number += 1) {
      const { workloadId, workloadName, hostId, identity } = this.#ends[number] as FlowEndInfo;
      const [, , , , labelSet] = JSON.parse(this.#endKeys.texts[number] ?? '[]') as [
        string,
        string,
        string,
        number,
        number,
      ];
      appender.appendUInteger(number);
      for (const text of [workloadId, workloadName, hostId]) appender.appendVarchar(text);
      appender.appendUInteger(identity);
      appender.appendUInteger(labelSet);
      appender.endRow();
    }
    appender.closeSync();
  }

  committed(): void {
    this.#markStored();
  }

  #markStored(): void {
    for (const numbered of [this.#strings, this.#labelSets, this.#endKeys]) numbered.stored = numbered.texts.length;
  }
}

async function append(connection: DuckDBConnection, table: string, numbered: Numbered): Promise<void> {
  if (numbered.stored === numbered.texts.length) return;
  const appender = await connection.createAppender(table);
  for (let number = numbered.stored; number < numbered.texts.length; number += 1) {
    appender.appendUInteger(number);
    appender.appendVarchar(numbered.texts[number] ?? '');
    appender.endRow();
  }
  appender.closeSync();
}

async function rows(connection: DuckDBConnection, sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRows();
}
