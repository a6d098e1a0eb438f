// A selector on its own, as people type it: the same language as in a policy file, with the groups of a document.

import { checkSelectorShape } from './end-shape.js';
import type { PolicyDocument, Selector, SelectorSpec } from './model.js';
import { EMPTY_DOCUMENT } from './model.js';
import { resolve } from './resolve.js';
import { readYaml } from './yaml-source.js';

/** Reads `text` with the dimensions and label groups of `document`. `problem`: what is wrong, as "found …, wanted …". */
export function readSelector(
  text: string,
  document: Pick<PolicyDocument, 'dimensions' | 'labelGroups'>,
): { readonly selector: Selector } | { readonly problem: string } {
  const { documents, problems } = readYaml({ name: 'selector', text });
  const [only] = documents;
  const broken = problems[0];
  if (broken !== undefined) return { problem: `found ${broken.found}, wanted ${broken.wanted}` };
  if (only === undefined || documents.length > 1)
    return { problem: `found ${documents.length} YAML documents, wanted one selector` };
  const found: string[] = [];
  const report = (wanted: string) => found.push(`found ${JSON.stringify(text.slice(0, 60))}, wanted ${wanted}`);
  if (checkSelectorShape(only.value, (_path, _code, wanted) => report(wanted))) {
    const { dimensions, labelGroups } = document;
    const modes = [{ id: 'selector', match: only.value as SelectorSpec, mode: 'visibility' as const }];
    const { modes: resolved } = resolve(
      { ...EMPTY_DOCUMENT, dimensions, labelGroups, modes },
      NO_RULES,
      (path, _code, wanted) => {
        if (path[0] === 'modes') report(wanted);
      },
    );
    const selector = resolved[0]?.selector;
    if (found.length === 0 && selector !== undefined) return { selector };
  }
  return { problem: found[0] ?? `found ${JSON.stringify(text.slice(0, 60))}, wanted a selector` };
}

const NO_RULES = { numberOf: () => 1 };
