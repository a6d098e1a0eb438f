// Where one types what one looks for.
import { useId } from 'preact/hooks';
import { Icon } from './icons.js';
import './parts.css';

export function SearchInput(props: {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly onInput: (value: string) => void;
  /** Offered while typing. */
  readonly suggestions?: readonly string[];
}) {
  const { label, value, placeholder, onInput, suggestions = [] } = props;
  const id = useId();
  return (
    <div class="search-box">
      <Icon name="search" />
      <input
        class="input"
        type="search"
        aria-label={label}
        placeholder={placeholder}
        value={value}
        spellcheck={false}
        autocomplete="off"
        {...(suggestions.length > 0 ? { list: id } : {})}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {suggestions.length > 0 && (
        <datalist id={id}>
          {suggestions.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
    </div>
  );
}
