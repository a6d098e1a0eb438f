/** How selectors are written, for help and errors. */
export const selectorSyntax = 'role=web, role=web|api, env!=prod, app (has one), !app (has none); comma: all of them';
