import type { Argument, Command, Option } from 'commander';

/** One option of a command. */
export interface OptionNode {
  /** "--output", "-o". */
  names: string[];
  description: string;
  /** A value follows. */
  takesValue: boolean;
  /** Values that are accepted; empty: anything. */
  choices: string[];
  /** The value is a path. */
  path: boolean;
}

/** A command as completion and documentation see it. */
export interface CommandNode {
  /** "ringfence", "host", "list"… */
  name: string;
  summary: string;
  options: OptionNode[];
  /** Choices of the first argument; empty: anything or none. */
  choices: string[];
  /** Arguments are paths. */
  path: boolean;
  children: CommandNode[];
}

const pathNames = /^(file|path|dir|folder)$/;

/** The tree below a command whose definitions are loaded. */
export function treeOf(command: Command): CommandNode {
  const argumentsOf = command.registeredArguments;
  return {
    name: command.name(),
    summary: firstSentence(command.summary() || command.description()),
    options: command.options.filter((option) => !option.hidden).map(optionOf),
    choices: argumentsOf[0]?.argChoices ?? [],
    path: argumentsOf.some((argument: Argument) => pathNames.test(argument.name())),
    children: command.commands.map(treeOf),
  };
}

function optionOf(option: Option): OptionNode {
  const value = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1] ?? '';
  return {
    names: [option.long, option.short].filter((name): name is string => typeof name === 'string'),
    description: firstSentence(option.description),
    takesValue: option.required,
    choices: option.argChoices ?? [],
    path: pathNames.test(value),
  };
}

function firstSentence(text: string): string {
  return text.split(/[.:;](?:\s|$)/)[0] ?? text;
}

/** Every command with the words that lead to it, depth first, the root first. */
export function walk(
  node: CommandNode,
  path: readonly string[] = [],
): { path: readonly string[]; node: CommandNode }[] {
  return [{ path, node }, ...node.children.flatMap((child) => walk(child, [...path, child.name]))];
}
