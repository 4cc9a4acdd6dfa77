/** The custom properties of `theme/tokens.md` with their fallbacks, as pieces for style sheets. */

import { css } from "lit";

export const token = {
  text: css`var(--ck-color-text, light-dark(#18181b, #ececf1))`,
  muted: css`var(--ck-color-muted, light-dark(#5f6068, #a9a9b4))`,
  surface: css`var(--ck-color-surface, light-dark(#ffffff, #18181b))`,
  raised: css`var(--ck-color-surface-raised, light-dark(#ffffff, #212124))`,
  sunken: css`var(--ck-color-surface-sunken, light-dark(#f4f4f5, #27272b))`,
  border: css`var(--ck-color-border, light-dark(#e4e4e7, #38383e))`,
  borderStrong: css`var(--ck-color-border-strong, light-dark(#8e8e98, #74747f))`,
  accent: css`var(--ck-accent, light-dark(#1a56db, #8ab4ff))`,
  accentText: css`var(--ck-accent-text, light-dark(#ffffff, #0b1220))`,
  success: css`var(--ck-color-success, light-dark(#0f7040, #5fd39a))`,
  warning: css`var(--ck-color-warning, light-dark(#8f4d00, #f2b25c))`,
  danger: css`var(--ck-color-danger, light-dark(#b42318, #ff8f85))`,
  info: css`var(--ck-color-info, light-dark(#175cd3, #84b6ff))`,
  discovery: css`var(--ck-color-discovery, light-dark(#6b3fc9, #bfa3ff))`,
  radius: css`var(--ck-radius, 12px)`,
  radiusControl: css`var(--ck-radius-control, 8px)`,
  space: css`var(--ck-space, 4px)`,
  font: css`var(--ck-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif)`,
  mono: css`var(--ck-font-mono, ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace)`,
  fontSize: css`var(--ck-font-size, 16px)`,
  focus: css`var(--ck-focus-ring, 2px solid var(--ck-accent, light-dark(#1a56db, #8ab4ff)))`,
  shadow: css`var(--ck-shadow, 0 1px 2px rgb(0 0 0 / 8%), 0 8px 24px rgb(0 0 0 / 14%))`,
};

/** What every view of this folder begins with: box model, focus, motion. */
export const base = css`
  :host {
    display: block;
    box-sizing: border-box;
    min-inline-size: 0;
    color: ${token.text};
    font-family: ${token.font};
  }
  :host([hidden]) {
    display: none;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  :focus-visible {
    outline: ${token.focus};
    outline-offset: 2px;
  }
  button {
    font: inherit;
    color: inherit;
  }
  .visually-hidden {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    margin: -1px;
    padding: 0;
    border: 0;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 0.01ms !important;
      animation-iteration-count: 1 !important;
      transition-duration: 0.01ms !important;
    }
  }
`;
