import { css } from "lit";

/** The frame, buttons and menus. Every length follows the font size and the density. */
export const base = css`
  :host {
    display: block;
    height: 100%;
    min-height: 0;
    overflow: hidden;
    background: var(--ck-color-surface);
    color: var(--ck-color-text);
    font-family: var(--ck-font);
    font-size: var(--ck-font-size);
    line-height: 1.55;
    --ck-gap: calc(1em * var(--ck-density, 1));
    --ck-focus: var(--ck-link);
    -webkit-text-size-adjust: 100%;
    text-align: start;
  }
  :host([hidden]) { display: none; }
  *, *::before, *::after { box-sizing: border-box; }
  .root { display: flex; flex-direction: column; height: 100%; min-height: 0; position: relative; container-type: inline-size; overflow-wrap: anywhere; }
  .body { flex: 1; min-height: 0; display: flex; flex-direction: column; position: relative; }
  .grow { flex: 1; }
  .row { display: flex; gap: 0.5em; align-items: center; flex-wrap: wrap; }
  .row.end { justify-content: flex-end; }
  .faint { color: var(--ck-color-faint-text); }
  .visually-hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  .icon, .named-icon { inline-size: 1.25em; block-size: 1.25em; flex: none; display: block; }
  .named-icon { display: inline-flex; font-size: 1.25em; inline-size: 1em; block-size: 1em; }

  button, input, textarea { font: inherit; color: inherit; letter-spacing: inherit; }
  button { cursor: pointer; background: none; border: 0; padding: 0; text-align: start; touch-action: manipulation; -webkit-tap-highlight-color: transparent; }
  button:disabled { cursor: default; opacity: 0.5; }
  :focus-visible { outline: 2px solid var(--ck-focus); outline-offset: 2px; }
  .scroller:focus-visible { outline-offset: -3px; }

  .icon-button { display: inline-grid; place-items: center; inline-size: 2.25em; block-size: 2.25em; border-radius: var(--ck-radius-control); color: var(--ck-color-muted); flex: none; transition: background 0.12s, color 0.12s; }
  .icon-button:hover:not(:disabled), .icon-button[aria-expanded="true"] { background: var(--ck-color-hover); color: var(--ck-color-text); }
  .icon-button.small { inline-size: 2.15em; block-size: 2.15em; font-size: 0.875em; }
  .icon-button[aria-pressed="true"] { color: var(--ck-link); }
  .icon-button.recording { color: var(--ck-color-danger); animation: pulse 1.4s ease-in-out infinite; }
  .button { display: inline-flex; align-items: center; gap: 0.4em; padding: 0.4em 1em; min-block-size: 2.25em; border-radius: var(--ck-radius-control); background: var(--ck-color-hover); font-weight: 500; font-size: 0.9375em; border: 1px solid transparent; transition: background 0.12s; }
  a.button { text-decoration: none; }
  .button:hover:not(:disabled) { background: var(--ck-color-pressed); }
  .button.small { font-size: 0.875em; padding: 0.2em 0.8em; min-block-size: 2em; white-space: nowrap; }
  .button.small .icon { inline-size: 1em; block-size: 1em; }
  .button.ghost { background: transparent; color: var(--ck-color-muted); }
  .button.ghost:hover:not(:disabled) { background: var(--ck-color-hover); color: var(--ck-color-text); }
  .button.primary { background: var(--ck-accent); color: var(--ck-accent-text); }
  .button.primary:hover:not(:disabled) { background: var(--ck-accent-hover); }
  .button.danger { background: var(--ck-color-danger); color: var(--ck-color-surface); }

  .header { display: flex; align-items: center; gap: 0.25em; padding: 0.5em 0.75em; min-block-size: 3.25em; flex: none; }
  .title { flex: 1; min-inline-size: 0; margin: 0; padding-inline: 0.35em; font-size: 0.9375em; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: match-parent; text-align: -webkit-match-parent; }
  [dir="rtl"] .back .icon { transform: scaleX(-1); }

  ck-menu { position: relative; display: inline-flex; }
  .menu { position: fixed; inset: auto; margin: 0; z-index: 20; color: var(--ck-color-text); min-inline-size: 13em; max-inline-size: min(22em, calc(100vw - 16px)); max-block-size: min(20em, calc(100vh - 16px)); overflow-y: auto; padding: 0.3em; background: var(--ck-color-surface-raised); border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-md); box-shadow: 0 8px 28px rgb(0 0 0 / 14%), 0 1px 3px rgb(0 0 0 / 10%); font-size: 0.9375em; animation: appear 0.12s ease-out; }
  .menu-entry { display: flex; align-items: center; gap: 0.65em; inline-size: 100%; padding: 0.45em 0.65em; border-radius: calc(var(--ck-radius-md) - 4px); cursor: pointer; }
  .menu-entry .icon, .menu-entry .named-icon { inline-size: 1.15em; block-size: 1.15em; color: var(--ck-color-muted); }
  .menu-entry .named-icon { font-size: 1.15em; inline-size: 1em; block-size: 1em; }
  .menu-entry:hover:not(:disabled), .menu-entry.active, .menu-entry:focus-visible { background: var(--ck-color-hover); outline-offset: -2px; }
  .menu-entry.danger, .menu-entry.danger .icon { color: var(--ck-color-danger); }
  .menu-text { flex: 1; min-inline-size: 0; display: flex; flex-direction: column; }
  .menu-description { font-size: 0.85em; color: var(--ck-color-muted); line-height: 1.35; }
  .menu-heading { padding: 0.5em 0.75em 0.2em; font-size: 0.8em; font-weight: 600; color: var(--ck-color-muted); }
  .menu-check { color: var(--ck-color-muted); }

  .spinner { inline-size: 1.1em; block-size: 1.1em; border-radius: 50%; border: 2px solid var(--ck-color-border-soft); border-block-start-color: transparent; animation: spin 0.8s linear infinite; flex: none; }
  .loading { flex: 1; display: grid; place-items: center; padding: 1em; }

  @keyframes spin { to { transform: rotate(1turn); } }
  @keyframes pulse { 50% { opacity: 0.45; } }
  @keyframes appear { from { opacity: 0; transform: translateY(3px); } }
  @media (prefers-reduced-motion: reduce) {
    *, *::before, *::after { animation-duration: 0.01ms !important; animation-iteration-count: 1 !important; transition-duration: 0.01ms !important; scroll-behavior: auto !important; }
  }
  @media (forced-colors: active) {
    .bubble, .composer, .notice, .chip-button, .prompt, .button { border: 1px solid CanvasText; }
  }
`;
