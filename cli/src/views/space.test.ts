import { SpacePathResponse } from '@ringfence/proto/gen/ringfence/v1/admin_spaces.js';
import { Confidence } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { describe, expect, it } from 'vitest';
import { pathText } from './space.js';

describe('pathText', () => {
  it('draws every translation, who shares the address, and what is called', () => {
    const path = SpacePathResponse.fromPartial({
      sourceId: 'gamma/container:1',
      destinationId: 'alpha/container:2',
      hops: [
        { space: 'local:bridge on gamma', address: '172.17.0.2' },
        { space: 'office', address: '10.1.0.5', by: 'masquerade of host gamma' },
        { space: '', address: '198.51.100.1', by: 'source translation of space office' },
      ],
      sourceConfidence: Confidence.CONFIDENCE_SHARED,
      sharedWith: ['gamma/host'],
      destinationConfidence: Confidence.CONFIDENCE_MAPPED,
      services: [{ protocol: 6, address: '2001:db8::1', port: 8080, workloadPort: 80 }],
      reachable: true,
    });
    expect(pathText(path)).toEqual([
      ['source', 'gamma/container:1'],
      ['', '172.17.0.2   in local:bridge on gamma'],
      ['', '│ masquerade of host gamma'],
      ['', '10.1.0.5   in office'],
      ['', '│ source translation of space office'],
      ['', '198.51.100.1   in world'],
      ['', "▼ the destination's host sees this address: shared with gamma/host"],
      ['calls', 'tcp [2001:db8::1]:8080   mapped to port 80'],
      ['destination', 'alpha/container:2'],
    ]);
  });

  it('says under which other addresses the source was seen', () => {
    const path = SpacePathResponse.fromPartial({
      sourceId: 'a/container:1',
      destinationId: 'b/host',
      hops: [{ space: '', address: '10.201.1.2' }],
      alsoSeenAs: ['192.0.2.10'],
      sourceConfidence: Confidence.CONFIDENCE_EXACT,
      reachable: true,
    });
    expect(pathText(path)).toContainEqual(['', 'it was seen to leave as 192.0.2.10 too']);
  });

  it('says that there is no path', () => {
    expect(pathText(SpacePathResponse.fromPartial({ sourceId: 'a', destinationId: 'b' })).at(-1)).toEqual([
      '',
      'no path',
    ]);
  });
});
