// Buttons and fields.
import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icons.js';

export interface ButtonProps {
  readonly children?: ComponentChildren;
  readonly icon?: IconName;
  /** What it does, where no text says so. */
  readonly label?: string;
  readonly kind?: 'primary' | 'danger' | 'plain' | 'link' | '';
  readonly small?: boolean;
  readonly pressed?: boolean;
  /** It does nothing now, and keeps the focus: a button that was just used often cannot be used again at once. */
  readonly disabled?: boolean;
  readonly type?: 'button' | 'submit';
  readonly onClick?: (event: MouseEvent) => void;
}

export function Button(props: ButtonProps) {
  const { children, icon, label, kind = '', small, pressed, disabled, type = 'button', onClick } = props;
  return (
    <button
      type={type}
      class={`button ${kind} ${small ? 'small' : ''}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      aria-disabled={disabled ? true : undefined}
      onClick={disabled ? undefined : onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** One of several, all in sight. */
export function Segments<T extends string>(props: {
  readonly label: string;
  readonly options: readonly (readonly [T, string])[];
  readonly value: T | undefined;
  readonly onChange: (value: T) => void;
}) {
  return (
    <fieldset class="segments" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <Button key={value} pressed={value === props.value} onClick={() => props.onChange(value)}>
          {text}
        </Button>
      ))}
    </fieldset>
  );
}

export function Field({ label, hint, children }: { label: string; hint?: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is the child
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <span class="muted small">{hint}</span>}
    </label>
  );
}

export function TextInput(props: {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly label?: string;
  readonly placeholder?: string;
  readonly required?: boolean;
}) {
  return (
    <input
      class="input"
      type="text"
      value={props.value}
      aria-label={props.label}
      placeholder={props.placeholder}
      required={props.required}
      spellcheck={false}
      autocomplete="off"
      onInput={(event) => props.onInput(event.currentTarget.value)}
    />
  );
}

export function TextArea(props: {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly label?: string;
  readonly rows?: number;
  readonly placeholder?: string;
}) {
  return (
    <textarea
      class="textarea"
      value={props.value}
      aria-label={props.label}
      rows={props.rows ?? 6}
      placeholder={props.placeholder}
      spellcheck={false}
      onInput={(event) => props.onInput(event.currentTarget.value)}
    />
  );
}

export function Select<T extends string>(props: {
  readonly value: T;
  readonly options: readonly (readonly [T, string])[];
  readonly onChange: (value: T) => void;
  readonly label?: string;
}) {
  return (
    <select
      class="select"
      aria-label={props.label}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value as T)}
    >
      {props.options.map(([value, text]) => (
        <option key={value} value={value} selected={value === props.value}>
          {text}
        </option>
      ))}
    </select>
  );
}

export function Check(props: {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}) {
  return (
    <label class="row">
      <input
        type="checkbox"
        checked={props.checked}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span>{props.label}</span>
    </label>
  );
}
