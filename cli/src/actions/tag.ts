import { TagsService, type TagsState } from '@ringfence/proto/gen/ringfence/v1/admin_tags.js';
import { TagMode } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { Action } from '../app.js';
import type { Invocation } from '../invocation.js';
import { hostFields, tagsFields, tagsJson } from '../views/tag.js';
import { tagModeWords } from '../views/words.js';

/** `tag status`. */
export const tagStatus: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  await show(invocation, await connection.call('read tags', TagsService.getTags, {}));
};

/** `tag set`. */
export const setTags: Action<[string], object> = async (invocation, _options, word) => {
  const mode = tagModeWords.parse(word) ?? TagMode.UNRECOGNIZED;
  const connection = await invocation.connect();
  await show(invocation, await connection.call(`switch tags to ${word}`, TagsService.setTagMode, { mode }));
};

/** `tag rotate`. */
export const rotateTags: Action<[], object> = async (invocation) => {
  const connection = await invocation.connect();
  await show(invocation, await connection.call('rotate tag keys', TagsService.rotateTagKeys, {}));
};

async function show({ printer }: Invocation, state: TagsState): Promise<void> {
  await printer.object({ json: tagsJson(state), fields: [...tagsFields(state), ...state.hosts.flatMap(hostFields)] });
}
