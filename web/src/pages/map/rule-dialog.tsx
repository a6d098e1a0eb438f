// "Write rule from this edge": which labels talk over it, a rule that allows them, checked and put into the draft.
import { useMemo, useState } from 'preact/hooks';
import { Flows, Labels, Policy } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import type { Problem } from '../../gen/ringfence/v1/common_pb.js';
import { Button, Check, Field, TextInput } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { service } from '../../ui/format.js';
import { Problems } from '../../ui/problems.js';
import { Loaded } from '../../ui/states.js';
import { tell, tellError } from '../../ui/toast.js';
import { VerdictMark } from '../../ui/verdict.js';
import { recordsBetween } from './load.js';
import type { MapEdge, MapNode } from './model.js';
import { commonLabels, type RuleEnd, ruleFile, ruleId } from './rule-text.js';
import type { MapView } from './view.js';

/** Dimensions that a rule names unless one says otherwise. */
const PREFERRED = ['app', 'role'];

interface Facts {
  readonly from: ReadonlyMap<string, readonly string[]>;
  readonly to: ReadonlyMap<string, readonly string[]>;
  readonly taken: ReadonlySet<string>;
}

export function RuleDialog(props: {
  readonly edge: MapEdge;
  readonly source: MapNode;
  readonly target: MapNode;
  readonly view: MapView;
  readonly onClose: () => void;
  readonly onAdded: () => void;
}) {
  const { edge, source, target, view } = props;
  const facts = useResource(edge.key, (signal) => loadFacts(source, target, view, signal));
  return (
    <Loaded resource={facts} what="who talks over this edge">
      {(known) => <RuleForm {...props} facts={known} key={edge.key} />}
    </Loaded>
  );
}

function RuleForm(props: Parameters<typeof RuleDialog>[0] & { readonly facts: Facts }) {
  const { edge, source, target, facts, onClose, onAdded } = props;
  const services = useMemo(
    () => [...new Set(edge.services.map(({ protocol, port }) => service(protocol, port)))],
    [edge],
  );
  const refused = edge.services
    .filter(({ verdict }) => verdict !== 'allowed')
    .map(({ protocol, port }) => service(protocol, port));
  const [id, setId] = useState(() => ruleId(source.title, target.title, facts.taken));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(refused.length > 0 ? refused : services));
  const [from, setFrom] = useState(() => preferred(facts.from, source));
  const [to, setTo] = useState(() => preferred(facts.to, target));
  const shared = [...facts.from.keys()].filter((dimension) => facts.to.has(dimension));
  const [same, setSame] = useState<ReadonlySet<string>>(new Set());
  const made = useMemo(
    () =>
      ruleFile({
        id,
        services: [...chosen],
        usedBy: endOf(from, facts.from, source),
        providedBy: endOf(to, facts.to, target),
        same: [...same],
        note: `from the flow map: ${source.title} to ${target.title}`,
      }),
    [id, chosen, from, to, same, facts, source, target],
  );
  // What was typed holds for the rule that it was typed over: another choice above makes another text.
  const [typed, setTyped] = useState({ over: made, text: made });
  const text = typed.over === made ? typed.text : made;
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [busy, setBusy] = useState(false);
  const taken = facts.taken.has(id);
  const add = async () => {
    setBusy(true);
    try {
      const file = { name: fileOf(id), content: text };
      const answer = await call(Policy.method.apply, { files: [file], draftOnly: true });
      setProblems(answer.problems);
      if (!answer.accepted) return;
      tell(`Rule ${id} is in the draft. Nothing changes until the draft is provisioned.`);
      onAdded();
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Write a rule from this edge"
      wide
      onClose={onClose}
      actions={
        <Button kind="primary" disabled={busy || chosen.size === 0 || id === '' || taken} onClick={add}>
          Add to the draft
        </Button>
      }
    >
      <div class="rule-grid">
        <fieldset>
          <legend>{source.title} may use</legend>
          <EndChoice facts={facts.from} chosen={from} onChange={setFrom} node={source} />
        </fieldset>
        <fieldset>
          <legend>Services</legend>
          {services.map((name) => (
            <div key={name} class="row">
              <Check label={name} checked={chosen.has(name)} onChange={(on) => setChosen(toggled(chosen, name, on))} />
              {[
                ...new Set(edge.services.filter((s) => service(s.protocol, s.port) === name).map((s) => s.verdict)),
              ].map((verdict) => (
                <VerdictMark key={verdict} verdict={verdict} />
              ))}
            </div>
          ))}
        </fieldset>
        <fieldset>
          <legend>of {target.title}</legend>
          <EndChoice facts={facts.to} chosen={to} onChange={setTo} node={target} />
        </fieldset>
      </div>
      {shared.length > 0 && (
        <fieldset class="row">
          <legend>Only where both ends have the same</legend>
          {shared.map((dimension) => (
            <Check
              key={dimension}
              label={dimension}
              checked={same.has(dimension)}
              onChange={(on) => setSame(toggled(same, dimension, on))}
            />
          ))}
        </fieldset>
      )}
      <Field label="Rule id: flow records and tests name it">
        <TextInput value={id} onInput={setId} />
      </Field>
      {taken && (
        <p class="notice alarm" role="alert">
          The draft has a rule or a file of this name already. Choose another: that one stays as it is.
        </p>
      )}
      <Field label={`Policy file ${fileOf(id)}: edit it if it is not what you mean`}>
        <textarea
          class="textarea"
          value={text}
          spellcheck={false}
          onInput={(event) => setTyped({ over: made, text: event.currentTarget.value })}
        />
      </Field>
      <Problems problems={problems} />
    </Dialog>
  );
}

function EndChoice(props: {
  readonly facts: ReadonlyMap<string, readonly string[]>;
  readonly chosen: ReadonlySet<string>;
  readonly onChange: (chosen: ReadonlySet<string>) => void;
  readonly node: MapNode;
}) {
  const { facts, chosen, onChange, node } = props;
  if (facts.size === 0)
    return <p class="muted">{node.kind === 'outside' ? 'anyone' : 'every workload'}: no labels are known here.</p>;
  return (
    <>
      {[...facts].map(([dimension, values]) => (
        <Check
          key={dimension}
          label={`${dimension} = ${values.length > 3 ? `one of ${values.length}` : values.join(' or ')}`}
          checked={chosen.has(dimension)}
          onChange={(on) => onChange(toggled(chosen, dimension, on))}
        />
      ))}
    </>
  );
}

/** Each rule from the map has a file of its own: writing one of a taken name would take the place of what is there. */
function fileOf(id: string): string {
  return `map/${id}.yaml`;
}

function idOfFile(name: string): string {
  return /^map\/(.+)\.yaml$/.exec(name)?.[1] ?? '';
}

/** Which labels talk over the edge, by every dimension there is, and which rule ids are taken. */
async function loadFacts(source: MapNode, target: MapNode, view: MapView, signal: AbortSignal): Promise<Facts> {
  const { dimensions } = await call(Labels.method.listDimensions, {}, signal);
  const groupBy = dimensions
    .filter(({ used }) => used.length > 0)
    .map(({ name }) => name)
    .slice(0, 8);
  const filter = { ...recordsBetween(source, target, view, Date.now()), verdicts: [] };
  const [graph, draft] = await Promise.all([
    call(Flows.method.graph, { filter, groupBy, limit: 2000 }, signal),
    call(Policy.method.get, { ref: { ref: { case: 'draft', value: true } } }, signal),
  ]);
  const labels = new Map(graph.nodes.map((node) => [node.id, node.labels]));
  const setsOf = (ids: readonly number[]) => [...new Set(ids)].map((id) => labels.get(id) ?? []);
  return {
    from: commonLabels(setsOf(graph.edges.map((edge) => edge.source))),
    to: commonLabels(setsOf(graph.edges.map((edge) => edge.destination))),
    taken: new Set([...draft.rules.map(({ id }) => id), ...draft.files.map(({ name }) => idOfFile(name))]),
  };
}

function preferred(facts: ReadonlyMap<string, readonly string[]>, node: MapNode): ReadonlySet<string> {
  const own = node.labels.map(({ dimension }) => dimension).filter((dimension) => facts.has(dimension));
  const wanted = [...own, ...PREFERRED.filter((dimension) => facts.get(dimension)?.length === 1)];
  return new Set(wanted.length > 0 ? wanted : [...facts.keys()].slice(0, 1));
}

function endOf(chosen: ReadonlySet<string>, facts: ReadonlyMap<string, readonly string[]>, node: MapNode): RuleEnd {
  const labels = new Map([...facts].filter(([dimension]) => chosen.has(dimension)));
  if (labels.size > 0) return { kind: 'labels', labels };
  return node.kind === 'outside' ? { kind: 'anyone' } : { kind: 'labels', labels };
}

function toggled(set: ReadonlySet<string>, value: string, on: boolean): ReadonlySet<string> {
  const next = new Set(set);
  if (on) next.add(value);
  else next.delete(value);
  return next;
}
