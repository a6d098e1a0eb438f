import type { Flow } from '@ringfence/proto/gen/ringfence/v1/flows.js';
import type { Printer } from '../output/printer.js';
import { jsonLine } from '../text/json.js';
import { renderHeading, renderLine } from '../text/table.js';
import { duration } from '../text/time.js';
import { flowJson } from '../views/flow.js';
import { type Clock, type Layout, layoutFor } from './columns.js';
import { type FieldPath, fieldsLine, pickFields } from './fields.js';
import type { FollowEvent } from './follow.js';
import { gapJson, gapText } from './gap.js';
import { flowLine } from './line.js';

/** Says which columns a terminal has no room for. */
export function noRoomText(dropped: readonly string[]): string {
  return `No room for ${dropped.join(', ')}: a wider terminal, --wide or -o compact shows them.`;
}

/** Writes the events of a tail in the chosen format: flows and gaps to standard output, notices to standard error. */
export class TailWriter {
  readonly #printer: Printer;
  readonly #quiet: boolean;
  readonly #clock: Clock;
  readonly #fields: readonly FieldPath[] | undefined;
  #layout: Layout | undefined;

  /** `fields`: of each flow these and no others; undefined: as the format has them. */
  constructor(printer: Printer, clock: Clock, quiet: boolean, fields?: readonly FieldPath[]) {
    this.#printer = printer;
    this.#clock = clock;
    this.#quiet = quiet;
    this.#fields = fields;
  }

  /** The heading, for tables. */
  async begin(): Promise<void> {
    if (this.#printer.format !== 'table') return;
    if (this.#fields !== undefined) {
      return this.#printer.out(`${this.#fields.map((path) => path.join('.')).join('\t')}\n`);
    }
    this.#layout = layoutFor(this.#printer.room, this.#clock);
    const { columns, widths, dropped } = this.#layout;
    if (dropped.length > 0 && !this.#quiet) {
      await this.#printer.note(noRoomText(dropped));
    }
    await this.#printer.out(`${renderHeading(columns, widths, this.#printer.style)}\n`);
  }

  async write(event: FollowEvent): Promise<void> {
    if (this.#printer.forPrograms) return this.#printer.out(`${jsonLine(eventJson(event, this.#fields))}\n`);
    if (event.type === 'flow') return this.#printer.out(`${this.#flow(event.flow)}\n`);
    if (event.type === 'gap')
      return this.#printer.out(`${this.#printer.style('warn', `-- ${gapText(event.gap, this.#clock.now())} --`)}\n`);
    if (!this.#quiet) await this.#notice(event);
  }

  #flow(flow: Flow): string {
    const { style, room } = this.#printer;
    if (this.#fields !== undefined) return fieldsLine(flow, this.#fields);
    if (this.#layout === undefined) return flowLine(flow, style, this.#clock.now());
    return renderLine(this.#layout.columns, this.#layout.widths, flow, style, room !== Number.POSITIVE_INFINITY);
  }

  async #notice(event: FollowEvent): Promise<void> {
    const { errorStyle } = this.#printer;
    if (event.type === 'lost') {
      await this.#printer.note(
        errorStyle(
          'warn',
          `-- connection lost (${event.why}); next try in ${duration(Math.max(1000, event.waitMs))} --`,
        ),
      );
    } else if (event.type === 'back') {
      const after = event.complete
        ? 'what was missed follows'
        : 'the controller began anew: flows in between may be missing';
      await this.#printer.note(errorStyle(event.complete ? 'good' : 'warn', `-- connected again; ${after} --`));
    } else if (event.type === 'synced' && event.historyDropped > 0n) {
      await this.#printer.note(
        errorStyle('dim', `-- live from here; history had dropped ${event.historyDropped} flows --`),
      );
    }
  }
}

/** An event of a tail in JSON; `type` says which. */
export function eventJson(event: FollowEvent, fields?: readonly FieldPath[]): object {
  switch (event.type) {
    case 'flow':
      return { type: 'flow', ...(fields === undefined ? flowJson(event.flow) : pickFields(event.flow, fields)) };
    case 'gap':
      return { type: 'gap', ...gapJson(event.gap) };
    default:
      return event;
  }
}
