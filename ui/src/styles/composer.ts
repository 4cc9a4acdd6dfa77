import { css } from "lit";

export const composer = css`
  .foot { flex: none; inline-size: 100%; max-inline-size: 48em; margin-inline: auto; padding: 0 1.25em max(0.9em, env(safe-area-inset-bottom)); position: relative; }
  ck-composer { display: block; }
  .composer { position: relative; display: flex; flex-direction: column; background: var(--ck-color-surface-raised); border: 1px solid var(--ck-color-border-soft); border-radius: var(--ck-radius-lg); padding: calc(0.5em * var(--ck-density)); box-shadow: 0 1px 6px rgb(0 0 0 / 5%); transition: border-color 0.12s, box-shadow 0.12s; }
  .composer:focus-within { border-color: color-mix(in oklab, var(--ck-color-text) 45%, var(--ck-color-border)); box-shadow: 0 2px 12px rgb(0 0 0 / 9%); }
  .field { position: relative; display: grid; min-inline-size: 0; min-block-size: 2.35em; align-items: center; }
  .composer.plain { flex-direction: row; flex-wrap: wrap; align-items: flex-end; }
  .composer.plain > .field, .composer.plain > .lock { flex: 1; }
  .composer.plain > .quote, .composer.plain > .complaints { flex: 1 0 100%; }
  .composer.plain > .toolbar { padding: 0; }
  .mirror, .input { grid-area: 1 / 1; margin: 0; padding: 0.35em 0.6em; font: inherit; line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; max-block-size: min(14em, 34vh); min-block-size: 2.2em; border: 0; align-self: center; }
  .mirror { visibility: visible; color: transparent; overflow: hidden; pointer-events: none; padding-inline-end: 0.6em; }
  .mirror mark { padding: 0; color: transparent; box-shadow: 0 0 0 0.1em color-mix(in oklab, var(--ck-link) 16%, transparent); }
  .input { position: relative; resize: none; background: transparent; outline: none; overflow-y: auto; block-size: 100%; align-self: stretch; scrollbar-width: none; color: var(--ck-color-text); }
  .input::placeholder { color: var(--ck-color-faint-text); opacity: 1; text-overflow: ellipsis; white-space: nowrap; overflow: hidden; }
  .suggestions { position: absolute; inset-inline: 0; inset-block-end: calc(100% + 0.4em); max-inline-size: none; max-block-size: 16em; }

  .toolbar { display: flex; align-items: center; gap: 0.25em; padding-block-start: 0.2em; min-inline-size: 0; }
  .file-input { display: none; }
  .chip-button { display: inline-flex; align-items: center; gap: 0.4em; max-inline-size: 12em; padding: 0.3em 0.75em; min-block-size: 2.25em; border-radius: var(--ck-radius-control); border: 1px solid var(--ck-color-border); color: var(--ck-color-muted); font-size: 0.875em; white-space: nowrap; }
  .chip-button span { overflow: hidden; text-overflow: ellipsis; }
  .chip-button .icon { inline-size: 1.1em; block-size: 1.1em; }
  .chip-button:hover { background: var(--ck-color-hover); color: var(--ck-color-text); }
  .chip-button[aria-pressed="true"] { background: var(--ck-accent-soft); border-color: color-mix(in oklab, var(--ck-accent) 40%, var(--ck-color-border)); color: var(--ck-color-text); }
  .chip-button.quiet { border-color: transparent; }
  .models { min-inline-size: 0; flex-shrink: 1; }
  .models > .chip-button { min-inline-size: 0; max-inline-size: 100%; }
  .send { inline-size: 2.35em; block-size: 2.35em; flex: none; display: grid; place-items: center; border-radius: var(--ck-radius-control); background: var(--ck-accent); color: var(--ck-accent-text); transition: background 0.12s, opacity 0.12s; }
  .send:hover:not(:disabled) { background: var(--ck-accent-hover); }
  .send:disabled { background: var(--ck-color-pressed); color: var(--ck-color-faint-text); opacity: 1; }
  .send.stop .icon { fill: currentColor; inline-size: 0.95em; block-size: 0.95em; }

  .quote { display: flex; align-items: center; gap: 0.5em; padding: 0.25em 0.35em 0.35em 0.6em; color: var(--ck-color-muted); font-size: 0.875em; }
  .quote span { flex: 1; min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .complaints { display: flex; gap: 0.6em; padding: 0.3em 0.5em 0.4em; color: var(--ck-color-danger); font-size: 0.875em; align-items: flex-start; }
  .complaints > div { flex: 1; }
  .lock { margin: 0; padding: 0.55em 0.7em; color: var(--ck-color-muted); text-align: center; }
  .composer.locked { background: var(--ck-color-surface-sunken); box-shadow: none; border-color: var(--ck-color-border); }

  .uploads { list-style: none; margin: 0; padding: 0.15em 0.15em 0.5em; display: flex; flex-wrap: wrap; gap: 0.5em; }
  .upload { position: relative; display: flex; align-items: center; gap: 0.55em; inline-size: 15em; max-inline-size: 100%; padding: 0.35em; border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-md); background: var(--ck-color-surface); overflow: hidden; }
  .upload.failed { border-color: var(--ck-color-danger); }
  .upload-image, .upload-icon { inline-size: 2.5em; block-size: 2.5em; border-radius: calc(var(--ck-radius-md) - 4px); object-fit: cover; flex: none; display: grid; place-items: center; background: var(--ck-color-hover); color: var(--ck-color-muted); }
  .upload-text { flex: 1; min-inline-size: 0; display: flex; flex-direction: column; font-size: 0.875em; line-height: 1.35; }
  .upload-status { color: var(--ck-color-muted); font-size: 0.9em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .upload.failed .upload-status { color: var(--ck-color-danger); white-space: normal; max-block-size: 2.7em; }
  .upload-bar { appearance: none; position: absolute; inset-inline: 0; inset-block-end: 0; inline-size: 100%; block-size: 3px; border: 0; background: var(--ck-color-pressed); }
  .upload-bar::-webkit-progress-bar { background: transparent; }
  .upload-bar::-webkit-progress-value { background: var(--ck-color-info); }
  .upload-bar::-moz-progress-bar { background: var(--ck-color-info); }
  .upload-bar[data-unknown] { animation: pulse 1.2s ease-in-out infinite; background: var(--ck-color-info); }
  .composer.dropped-on { border-color: var(--ck-color-info); border-style: dashed; }
  .drop-hint { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; gap: 0.6em; background: color-mix(in oklab, var(--ck-color-info) 8%, var(--ck-color-surface)); border-radius: inherit; pointer-events: none; font-weight: 500; }

  .disclaimer:not(.high) { --ck-color-text: var(--ck-color-faint-text); }
  .disclaimer { --ck-font-size: 0.8125rem; padding-block-start: 0.5em; font-size: 0.8125em; color: var(--ck-color-faint-text); text-align: center; }
  .disclaimer.high { color: inherit; }

  @container (max-width: 30em) {
    .column { padding-inline: 0.6em; }
    .foot { padding-inline: 0.6em; padding-block-end: max(0.6em, env(safe-area-inset-bottom)); }
    .header { padding-inline: 0.4em; }
    .start-screen { padding-inline: 0.9em; }
    .greeting { font-size: 1.4em; }
    .bubble { max-inline-size: 90%; }
    .upload { inline-size: 100%; }
    .chip-button { padding-inline: 0.55em; }
    .chip-button.pinned { padding-inline: 0.6em; }
    .chip-button.pinned span { display: none; }
  }
  @media (pointer: coarse) {
    .icon-button { inline-size: 2.6em; block-size: 2.6em; }
    /* Smaller text makes phones zoom in. */
    .input { font-size: max(1em, 16px); }
    .mirror { font-size: max(1em, 16px); }
  }
`;
