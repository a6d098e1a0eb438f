import { AgentError } from '../errors.js';

/** Splits "host:port" and "[v6]:port"; the host comes back without brackets. Throws RF_CONFIG. */
export function splitHostPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535)
    throw new AgentError('RF_CONFIG', `Cannot use address ${JSON.stringify(text)}: wanted host:port`);
  return { host: match[1] ?? match[2] ?? '', port };
}
