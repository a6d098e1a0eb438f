// A long absence of the controller: lab/src/outage.ts on a fleet of its own.
import { Fleet } from '@ringfence/lab/fleet.js';
import { OUTAGE_HOSTS, type OutageResult, outage } from '@ringfence/lab/outage.js';

export async function away(seconds: number, rate: number): Promise<OutageResult> {
  const fleet = await Fleet.start(OUTAGE_HOSTS);
  try {
    const say = (what: string) => process.stderr.write(`${new Date().toISOString()} ${what}\n`);
    return await outage(fleet, { seconds, rate, seed: 1, say });
  } finally {
    await fleet.close();
  }
}
