import { css } from "lit";

export const sidebar = css`
  :host { display: block; flex: none; inline-size: 17em; block-size: 100%; background: var(--ck-color-surface-sunken); border-inline-end: 1px solid var(--ck-color-border); font-size: 15px; overflow: visible; }
  .panel { display: flex; flex-direction: column; block-size: 100%; min-block-size: 0; container-type: inline-size; }
  .top { padding: 1em 1.1em 0.5em; }
  .brand { font-weight: 650; letter-spacing: -0.01em; }
  .new { display: flex; align-items: center; gap: 0.65em; margin: 0.25em 0.6em 0.4em; padding: 0.55em 0.6em; border-radius: var(--ck-radius-sm); font-weight: 500; }
  .new:hover { background: var(--ck-color-hover); }
  .list { flex: 1; min-block-size: 0; overflow-y: auto; padding: 0 0.6em 1em; scrollbar-width: thin; scrollbar-color: var(--ck-color-border-soft) transparent; }
  .thread .icon-button { opacity: 0; }
  .thread:hover .icon-button, .thread:focus-within .icon-button, .thread.rename .icon-button { opacity: 1; }
  @media (hover: none) { .thread .icon-button { opacity: 1; } }
  .age { padding-inline: 0.6em; }
  .thread-title { padding-inline: 0.6em; }
  .menu { min-inline-size: 10em; }
  .shade { display: none; }
  @media (max-width: 52em) {
    :host { position: fixed; inset-block: 0; inset-inline-start: 0; z-index: 10; visibility: hidden; inline-size: min(19em, 86vw); transform: translateX(-102%); transition: transform 0.2s ease, visibility 0.2s; box-shadow: 0 0 40px rgb(0 0 0 / 20%); border: 0; }
    :host(:dir(rtl)) { transform: translateX(102%); }
    /* Visible at once, for what is hidden takes no focus. */
    :host(.open) { visibility: visible; transform: none; transition: transform 0.2s ease; }
    :host(.open) .shade { display: block; position: fixed; inset: 0; inline-size: 100vw; inset-inline-start: 0; background: rgb(0 0 0 / 35%); z-index: -1; }
    .panel { background: var(--ck-color-surface-sunken); }
  }
  @media (prefers-reduced-motion: reduce) { :host, :host(.open) { transition: none; } }
`;
