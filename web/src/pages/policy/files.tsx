// The draft as its files: read, changed, checked and kept. Nothing takes effect before the draft is provisioned.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Policy } from '../../api/admin.js';
import { call } from '../../api/client.js';
import type { Resource } from '../../api/resource.js';
import type { PolicyContent } from '../../gen/ringfence/v1/admin_policy_pb.js';
import type { Problem } from '../../gen/ringfence/v1/common_pb.js';
import { setQuery } from '../../location.js';
import { ActionDialog } from '../../ui/confirm.js';
import { Button, Field, TextInput } from '../../ui/controls.js';
import { plural } from '../../ui/format.js';
import { Problems } from '../../ui/problems.js';
import { Empty, Loaded } from '../../ui/states.js';
import { tell, tellError } from '../../ui/toast.js';
import { keepUnsaved, unsavedOf } from '../../ui/unsaved.js';
import { firstText } from './first-text.js';

export function FilesTab(props: {
  readonly draft: Resource<PolicyContent>;
  readonly query: URLSearchParams;
  readonly onChanged: () => void;
}) {
  const { draft, query, onChanged } = props;
  const [adding, setAdding] = useState(false);
  const asked = query.get('file') ?? '';
  return (
    <>
      <div class="split">
        <Loaded resource={draft} what="the files">
          {({ files }) => {
            const file = files.find(({ name }) => name === asked) ?? files[0];
            return (
              <>
                <nav class="file-list" aria-label="Files of the draft">
                  {files.map(({ name }) => (
                    <Button
                      key={name}
                      kind="plain"
                      pressed={name === file?.name}
                      onClick={() => setQuery({ file: name, line: '' })}
                    >
                      {name}
                      {unsavedOf(name) !== undefined && <span class="mark warning">not saved</span>}
                    </Button>
                  ))}
                  <Button small icon="plus" onClick={() => setAdding(true)}>
                    Add a file
                  </Button>
                </nav>
                {file === undefined ? (
                  <div class="list">
                    <Empty title="The draft has no files" icon="policy">
                      Add one and write rules into it. <code>docs/policy.md</code> describes the language.
                    </Empty>
                  </div>
                ) : (
                  <Editor
                    key={file.name}
                    name={file.name}
                    content={file.content}
                    line={Number(query.get('line') ?? 0)}
                    onChanged={onChanged}
                  />
                )}
              </>
            );
          }}
        </Loaded>
      </div>
      {adding && (
        <AddFile
          taken={new Set(draft.data?.files.map(({ name }) => name))}
          rules={new Set(draft.data?.rules.map(({ id }) => id))}
          onClose={() => setAdding(false)}
          onChanged={onChanged}
        />
      )}
    </>
  );
}

interface EditorState {
  readonly base: string;
  readonly text: string;
  readonly replaced?: string;
}

interface Judged {
  readonly problems: readonly Problem[];
  readonly told: string;
}

/** The text that is being changed stays when the draft changes elsewhere; then it says so. */
function Editor(props: {
  readonly name: string;
  readonly content: string;
  readonly line: number;
  readonly onChanged: () => void;
}) {
  const { name, content, line, onChanged } = props;
  // What it says, over what was read; `replaced`: what our own last save took the place of, and may still be shown for a moment.
  const [{ base, text, replaced }, setState] = useState<EditorState>(
    () => unsavedOf(name) ?? { base: content, text: content },
  );
  const setText = (next: string) => setState((now) => ({ ...now, text: next }));
  const [judged, setJudged] = useState<Judged>({ problems: [], told: '' });
  const [busy, setBusy] = useState(false);
  const [removing, setRemoving] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const changed = text !== base;
  useEffect(() => keepUnsaved(name, changed ? { base, text } : undefined), [name, changed, base, text]);
  const foreign = content !== base && content !== replaced;
  useEffect(() => {
    // Nothing of ours to lose: show what somebody else wrote.
    if (foreign) setState((now) => (now.text === now.base ? { base: content, text: content } : now));
    else if (content === base) setState((now) => ({ base: now.base, text: now.text }));
  }, [content]);
  useEffect(() => {
    if (line > 0) goTo(area.current, line);
  }, [line]);
  const run = (work: () => Promise<Judged>) => {
    setBusy(true);
    work()
      .then(setJudged, tellError)
      .finally(() => setBusy(false));
  };
  const check = async (): Promise<Judged> => {
    const answer = await call(Policy.method.check, { files: [{ name, content: text }] });
    const told = answer.accepted ? `No errors. ${plural(answer.rules, 'rule')} in the whole draft.` : '';
    return { problems: answer.problems, told };
  };
  const save = async (): Promise<Judged> => {
    const answer = await call(Policy.method.apply, { files: [{ name, content: text }], draftOnly: true });
    if (!answer.accepted) return { problems: answer.problems, told: '' };
    setState((now) => ({ base: text, text: now.text, replaced: content }));
    tell('The draft is changed. Nothing takes effect before it is provisioned.');
    onChanged();
    return { problems: answer.problems, told: '' };
  };
  return (
    <div class="list editor">
      <div class="row">
        <h2>{name}</h2>
        {changed && <span class="mark warning">not saved</span>}
        <span class="grow" />
        <Button small disabled={busy} onClick={() => run(check)}>
          Check
        </Button>
        <Button small kind="primary" disabled={busy || !changed} onClick={() => run(save)}>
          Save to the draft
        </Button>
        <Button small disabled={!changed} onClick={() => setText(base)}>
          Undo changes
        </Button>
        <Button small kind="danger" onClick={() => setRemoving(true)}>
          Remove file
        </Button>
      </div>
      {foreign && (
        <p class="notice warning" role="alert">
          <span class="grow">Somebody else has changed this file since. Saving replaces what he wrote.</span>
          <Button small onClick={() => setState({ base: content, text: content })}>
            Take his text
          </Button>
        </p>
      )}
      <Problems problems={judged.problems} />
      <p class="muted" role="status">
        {judged.told}
      </p>
      <textarea
        ref={area}
        class="textarea code-area"
        aria-label={`Content of ${name}`}
        value={text}
        spellcheck={false}
        wrap="off"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {removing && (
        <ActionDialog
          title={`Remove ${name} from the draft`}
          action="Remove file"
          danger
          onClose={() => setRemoving(false)}
          run={async () => {
            const answer = await call(Policy.method.apply, { remove: [name], draftOnly: true });
            if (!answer.accepted) throw new Error(answer.problems.map(({ message }) => message).join('. '));
            setText(base);
            keepUnsaved(name, undefined);
            tell(`${name} is removed from the draft.`);
            setQuery({ file: '', line: '' }, true);
            onChanged();
          }}
        >
          <p>
            Its rules and everything else in it leave the draft. What is in force stays so until the draft is
            provisioned.
          </p>
        </ActionDialog>
      )}
    </div>
  );
}

function goTo(area: HTMLTextAreaElement | null, line: number): void {
  if (area === null) return;
  const lines = area.value.split('\n');
  const start = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  area.scrollTop = Math.max(0, (line - 6) * Number.parseFloat(getComputedStyle(area).lineHeight));
}

function AddFile(props: {
  /** Names of the draft's files, and ids of its rules. */
  readonly taken: ReadonlySet<string>;
  readonly rules: ReadonlySet<string>;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}) {
  const { taken, rules, onClose, onChanged } = props;
  const [name, setName] = useState('');
  const there = taken.has(name.trim());
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  return (
    <ActionDialog
      title="Add a file to the draft"
      action="Add file"
      disabled={name.trim() === '' || there}
      onClose={onClose}
      run={async () => {
        const file = { name: name.trim(), content: firstText(name.trim(), rules) };
        const answer = await call(Policy.method.apply, { files: [file], draftOnly: true });
        setProblems(answer.problems);
        if (!answer.accepted) throw new Error('Cannot add the file: found the problems above, wanted none');
        onChanged();
        setQuery({ file: file.name, line: '' });
      }}
    >
      <Field label="Name" hint="Relative, with / between folders; it ends in .yaml">
        <TextInput value={name} onInput={setName} placeholder="shop/databases.yaml" required />
      </Field>
      {there && (
        <p class="notice alarm" role="alert">
          The draft has a file of this name already. Choose another: that one stays as it is.
        </p>
      )}
      <p class="muted">It begins with one rule as an example, in the draft only.</p>
      <Problems problems={problems} />
    </ActionDialog>
  );
}
