/** Flows that `flows list` shows where nothing else is asked for. Loaded with the definitions: it loads nothing itself. */
export const listLimitDefault = '1000';
