/** Looks of Button, and the sizes that all controls share. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const buttons = css`
  .button,
  .control {
    --height: 2.25em;
    --gutter: 0.8em;
    min-block-size: var(--height);
    padding: 0 var(--gutter);
    border: 1px solid transparent;
    border-radius: ${token.radiusControl};
    font: inherit;
    line-height: 1.3;
  }
  .size-3xs {
    --height: 1.85em;
    --gutter: 0.5em;
    font-size: 0.75em;
  }
  .size-2xs {
    --height: 2em;
    --gutter: 0.6em;
    font-size: 0.75em;
  }
  .size-xs {
    --height: 2em;
    --gutter: 0.65em;
    font-size: 0.8125em;
  }
  .size-sm {
    --height: 2.15em;
    --gutter: 0.75em;
    font-size: 0.875em;
  }
  .size-md {
    --height: 2.45em;
    --gutter: 0.9em;
    font-size: 0.875em;
  }
  .size-lg {
    --height: 2.5em;
    --gutter: 1em;
    font-size: 1em;
  }
  .size-xl {
    --height: 2.75em;
    --gutter: 1.1em;
    font-size: 1em;
  }
  .size-2xl {
    --height: 3em;
    --gutter: 1.2em;
    font-size: 1.0625em;
  }
  .size-3xl {
    --height: 3.25em;
    --gutter: 1.3em;
    font-size: 1.125em;
  }
  .gutter-2xs {
    --gutter: 0.35em;
  }
  .gutter-xs {
    --gutter: 0.5em;
  }
  .gutter-sm {
    --gutter: 0.65em;
  }
  .gutter-md {
    --gutter: 0.85em;
  }
  .gutter-lg {
    --gutter: 1.1em;
  }
  .gutter-xl {
    --gutter: 1.4em;
  }
  .button.pill,
  .control.pill {
    border-radius: 999px;
  }
  .button.block,
  .picker.block,
  .control.block {
    inline-size: 100%;
  }
  .button {
    position: relative;
    display: inline-flex;
    flex: none;
    align-items: center;
    justify-content: center;
    inline-size: fit-content;
    max-inline-size: 100%;
    font-weight: 500;
    cursor: pointer;
    transition:
      background-color 0.12s,
      filter 0.12s;
  }
  .button-inside {
    display: inline-flex;
    align-items: center;
    gap: 0.5em;
    min-inline-size: 0;
  }
  .button[aria-busy] .button-inside {
    /* Out of sight only: the button keeps its name. */
    opacity: 0;
  }
  .button > .spinner {
    position: absolute;
  }
  .button.uniform {
    inline-size: var(--height);
    padding: 0;
  }
  .button ck-icon {
    font-size: 1.15em;
  }
  .button.glyph-sm ck-icon {
    font-size: 1em;
  }
  .button.glyph-lg ck-icon {
    font-size: 1.3em;
  }
  .button.glyph-xl ck-icon {
    font-size: 1.5em;
  }
  .button.glyph-2xl ck-icon {
    font-size: 1.75em;
  }
  .button.variant-solid:hover:not(:disabled, [aria-disabled]) {
    background: color-mix(in srgb, var(--tone) 88%, ${token.surface});
  }
  .button.variant-solid.tone-primary:hover:not(:disabled, [aria-disabled]) {
    background: var(--ck-accent-hover, color-mix(in srgb, var(--tone) 88%, ${token.surface}));
  }
  .button.variant-soft:hover:not(:disabled, [aria-disabled]) {
    background: color-mix(in srgb, var(--tone) 17%, transparent);
  }
  .button.variant-outline {
    border-color: color-mix(in srgb, var(--tone) 24%, ${token.border});
    background: none;
    color: var(--tone);
  }
  .button.variant-ghost {
    background: none;
    color: var(--tone);
  }
  .button:is(.variant-outline, .variant-ghost):hover:not(:disabled, [aria-disabled]) {
    background: color-mix(in srgb, var(--tone) 8%, transparent);
  }
  .button:disabled,
  .control:disabled {
    opacity: 0.5;
    cursor: not-allowed;
  }
  .button[aria-disabled] {
    cursor: progress;
  }
  .spinner {
    inline-size: 1em;
    block-size: 1em;
    border: 2px solid currentColor;
    border-block-start-color: transparent;
    border-radius: 50%;
    animation: spin 0.8s linear infinite;
  }
  @keyframes spin {
    to {
      transform: rotate(1turn);
    }
  }
`;
