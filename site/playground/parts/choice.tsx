/** A choice of few: radio buttons as one bar. */

interface Props {
  title: string;
  options: readonly { readonly value: string; readonly title?: string; readonly isDisabled?: boolean }[];
  chosen: string;
  onChoose: (value: string) => void;
}

export const Choice = ({ title, options, chosen, onChoose }: Props) => (
  <fieldset class="choice">
    <legend>{title}</legend>
    <div class="choices">
      {options.map(({ value, title: label = value, isDisabled }) => (
        <label key={value} class={{ isSelected: chosen === value, isDisabled }}>
          <input
            type="radio"
            name={title}
            checked={chosen === value}
            disabled={isDisabled ?? false}
            onChange={() => onChoose(value)}
          />
          {label}
        </label>
      ))}
    </div>
  </fieldset>
);
Choice.props = ["title", "options", "chosen", "onChoose"];
