// Options that several commands share.
import { Option } from 'commander';

/** Adds a value to those given before: an option that may be repeated. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** An option that may be repeated; its values come as an array. */
export function repeatable(flags: string, description: string): Option {
  return new Option(flags, `${description} (repeatable)`).argParser(collect);
}

/** `--yes` of commands that cannot be undone. */
export function confirmation(): Option {
  return new Option('-y, --yes', 'do it without asking; needed where there is no terminal to ask on');
}

/** `--expected-version` of commands that change something others may change too. */
export function expectedVersion(what: string): Option {
  return new Option('--expected-version <n>', `refuse unless ${what} still has this version`);
}
