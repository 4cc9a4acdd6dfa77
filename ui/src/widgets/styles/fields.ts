/** Looks of Input, Textarea, Checkbox, RadioGroup, and the face of the pickers. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const fields = css`
  .control {
    inline-size: 100%;
    color: ${token.text};
  }
  .control.variant-outline {
    border-color: ${token.borderStrong};
    background: ${token.surface};
  }
  .control.variant-soft {
    background: ${token.sunken};
    color: inherit;
  }
  .control.variant-ghost {
    background: none;
  }
  .control.variant-ghost:hover {
    background: ${token.sunken};
  }
  .control.variant-solid {
    background: ${token.text};
    color: ${token.surface};
  }
  .control.variant-solid .placeholder {
    color: inherit;
  }
  .control:focus-visible {
    outline-offset: 0;
  }
  .control::placeholder,
  .editable::placeholder,
  .placeholder {
    color: ${token.muted};
    opacity: 1;
  }
  :is(.control, .editable):user-invalid {
    border-color: ${token.danger};
  }
  textarea.control {
    display: block;
    /* Several lines do not fit into a pill. */
    border-radius: min(${token.radiusControl}, ${token.radius});
    padding-block: calc((var(--height) - 1.4em) / 2);
    line-height: 1.4;
    resize: vertical;
  }
  textarea.auto-resize {
    field-sizing: content;
    min-block-size: calc(var(--rows) * 1.4em + var(--height) - 1.4em + 2px);
    max-block-size: min(60vh, calc(var(--max-rows) * 1.4em + var(--height) - 1.4em + 2px));
    resize: none;
  }
  .radios {
    display: flex;
    flex-wrap: wrap;
    gap: calc(${token.space} * 2) calc(${token.space} * 4);
  }
  .radios.col {
    flex-wrap: nowrap;
  }
  .choice {
    display: inline-flex;
    align-items: flex-start;
    gap: 0.55em;
    font-size: 0.9375em;
    cursor: pointer;
  }
  .choice:has(:disabled) {
    opacity: 0.55;
    cursor: not-allowed;
  }
  .choice input {
    flex: none;
    inline-size: 1.1em;
    block-size: 1.1em;
    margin: 0.2em 0 0;
    accent-color: ${token.accent};
    cursor: inherit;
  }
`;
