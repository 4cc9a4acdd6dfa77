import { css } from "lit";

/** The conversation, the start screen and the list of conversations. */
export const thread = css`
  .conversation { flex: 1; min-block-size: 0; display: block; position: relative; }
  .scroller { block-size: 100%; overflow-y: auto; overflow-x: hidden; overscroll-behavior: contain; scrollbar-gutter: stable both-edges; scrollbar-width: thin; scrollbar-color: var(--ck-color-border-soft) transparent; }
  .column { max-inline-size: 48em; margin-inline: auto; padding: calc(var(--ck-gap) * 1) 1.25em calc(var(--ck-gap) * 1.5); }
  .older { display: grid; place-items: center; padding: 1em; }

  .turn { display: flex; flex-direction: column; gap: calc(var(--ck-gap) * 0.9); padding-block-end: calc(var(--ck-gap) * 1.6); }
  /* What is kept from being drawn out of sight is cut off at its edge, where outlines and the first button reach over it. */
  .turn:not(.last) { content-visibility: auto; contain-intrinsic-size: auto 220px; overflow-clip-margin: 0.75em; }
  .user { display: flex; flex-direction: column; align-items: flex-end; gap: 0.4em; }
  .bubble { max-inline-size: min(85%, 38em); padding: 0.55em 1em; background: var(--ck-color-user); border-radius: var(--ck-radius-lg); border-end-end-radius: min(var(--ck-radius-lg), 6px); white-space: pre-wrap; }
  .unsent .bubble { opacity: 0.75; }
  .quoted { display: flex; gap: 0.5em; margin: 0; max-inline-size: min(85%, 38em); color: var(--ck-color-muted); font-size: 0.875em; }
  .quoted span { display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
  .tag, .mirror mark { background: color-mix(in oklab, var(--ck-link) 16%, transparent); color: var(--ck-link); border-radius: 0.35em; padding: 0.05em 0.25em; }
  button.tag:hover { text-decoration: underline; }
  .preview { position: fixed; inset: auto; inline-size: max-content; max-inline-size: min(22rem, calc(100vw - 16px)); max-block-size: calc(100vh - 16px); margin: 0; overflow: auto; padding: 0.75rem; border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius); background: var(--ck-color-surface-raised); color: var(--ck-color-text); box-shadow: var(--ck-shadow); }
  .preview.bare { padding: 0; border: 0; }
  .attachments { display: flex; flex-wrap: wrap; justify-content: flex-end; align-items: flex-end; gap: 0.5em; max-inline-size: 85%; }
  .thumbnail { max-inline-size: 14em; max-block-size: 11em; object-fit: cover; border-radius: var(--ck-radius-md); border: 1px solid var(--ck-color-border); display: block; background: var(--ck-color-hover); }
  .file-chip { display: inline-flex; align-items: center; gap: 0.5em; max-inline-size: 18em; padding: 0.45em 0.8em; border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-md); font-size: 0.9em; }
  .file-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .answer { display: flex; flex-direction: column; gap: calc(var(--ck-gap) * 0.8); min-inline-size: 0; }
  .actions { display: flex; gap: 0.1em; margin-block-start: calc(var(--ck-gap) * -0.5); margin-inline-start: -0.5em; }
  @media (hover: hover) {
    .turn:not(.last) .actions { opacity: 0; transition: opacity 0.12s; }
    .turn:hover .actions, .turn:focus-within .actions { opacity: 1; }
  }

  .progress { display: flex; align-items: center; gap: 0.6em; color: var(--ck-color-muted); min-block-size: 1.75em; margin-block-end: calc(var(--ck-gap) * 0.6); }
  .shimmer { background: linear-gradient(90deg, var(--ck-color-muted) 40%, var(--ck-color-text) 50%, var(--ck-color-muted) 60%) 0 0 / 250% 100%; -webkit-background-clip: text; background-clip: text; color: transparent; animation: shimmer 2.2s linear infinite; }
  @keyframes shimmer { from { background-position: 110% 0; } to { background-position: -60% 0; } }
  @media (prefers-reduced-motion: reduce) { .shimmer { background: none; color: inherit; } }
  @media (forced-colors: active) { .shimmer { background: none; color: CanvasText; } }
  .dots { display: inline-flex; gap: 0.3em; padding-block: 0.4em; }
  .dots i { inline-size: 0.45em; block-size: 0.45em; border-radius: 50%; background: currentColor; animation: bounce 1.2s ease-in-out infinite; }
  .dots i:nth-child(2) { animation-delay: 0.15s; }
  .dots i:nth-child(3) { animation-delay: 0.3s; }
  @keyframes bounce { 0%, 60%, 100% { opacity: 0.35; } 30% { opacity: 1; } }

  .notice { --tone: var(--ck-color-info); display: flex; align-items: flex-start; gap: 0.65em; padding: 0.65em 0.85em; margin-block: 0.4em calc(var(--ck-gap) * 0.8); border-radius: var(--ck-radius-md); border: 1px solid color-mix(in oklab, var(--tone) 30%, var(--ck-color-border)); background: color-mix(in oklab, var(--tone) 7%, var(--ck-color-surface)); font-size: 0.9375em; }
  .notice > .icon { color: var(--tone); margin-block-start: 0.1em; }
  .notice.warning { --tone: var(--ck-color-warning); }
  .notice.danger { --tone: var(--ck-color-danger); }
  .notice-text { flex: 1; min-inline-size: 0; --ck-font-size: 0.9375rem; }
  .notice-text strong { display: block; }
  .notice .button, .notice .icon-button { margin-block: -0.15em; }
  .notice .button:not(.primary) { background: var(--ck-color-surface); border-color: var(--ck-color-border); }

  @container (max-width: 30em) {
    .notice { flex-wrap: wrap; }
    .notice .notice-text { flex-basis: calc(100% - 5.5em); }
    .notice .button { order: 3; margin-inline-start: 1.8em; }
  }

  .jump { position: absolute; inset-block-end: 0.75em; inset-inline: 0; margin-inline: auto; inline-size: 2.4em; block-size: 2.4em; display: grid; place-items: center; border-radius: 50%; background: var(--ck-color-surface); border: 1px solid var(--ck-color-border); box-shadow: 0 2px 10px rgb(0 0 0 / 14%); color: var(--ck-color-text); animation: appear 0.15s ease-out; z-index: 3; }
  .jump:hover { background: var(--ck-color-hover); }
  .jump.live::after { content: ""; position: absolute; inset-block-start: 0; inset-inline-end: 0; inline-size: 0.6em; block-size: 0.6em; border-radius: 50%; background: var(--ck-color-info); }
  .quote-button { position: absolute; z-index: 4; transform: translateX(-50%); display: inline-flex; gap: 0.4em; align-items: center; padding: 0.35em 0.8em; font-size: 0.875em; background: var(--ck-color-surface); border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-control); box-shadow: 0 2px 10px rgb(0 0 0 / 16%); }

  .start .start-screen { flex: 0 1 auto; min-block-size: 0; overflow-y: auto; margin-block-start: auto; }
  .start .foot { margin-block-end: auto; }
  .start-screen { padding: 1em 1.25em calc(var(--ck-gap) * 1.4); inline-size: 100%; max-inline-size: 48em; margin-inline: auto; }
  .greeting { margin: 0 0 calc(var(--ck-gap) * 1.2); font-size: 1.65em; line-height: 1.25; font-weight: 600; letter-spacing: -0.015em; text-align: center; text-wrap: balance; }
  .prompts { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15em, 100%), 1fr)); gap: 0.6em; }
  .prompts li { display: flex; }
  .prompt { flex: 1; display: flex; align-items: center; gap: 0.7em; padding: 0.7em 1em; border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-md); transition: background 0.12s, border-color 0.12s; }
  .prompt .icon { color: var(--ck-color-muted); }
  .prompt:hover { background: var(--ck-color-surface-sunken); border-color: var(--ck-color-border-soft); }

  .questions { border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-md); padding: 1em; display: flex; flex-direction: column; gap: 1.1em; margin: 0; background: var(--ck-color-surface); }
  .question { border: 0; margin: 0; padding: 0; min-inline-size: 0; display: flex; flex-direction: column; gap: 0.45em; }
  .question-text { font-weight: 600; padding: 0; }
  .question-text, .hint, .thread-title, .answered dt, .notice-text, .file-name, .upload-status, .quote > span, .complaints div, .confirm p { text-align: match-parent; text-align: -webkit-match-parent; }
  .hint { color: var(--ck-color-muted); font-size: 0.875em; }
  fieldset .hint { display: block; margin-block-end: 0.45em; }
  .question textarea { resize: vertical; padding: 0.6em 0.8em; border: 1px solid var(--ck-color-border-soft); border-radius: var(--ck-radius-sm); background: var(--ck-color-surface); min-block-size: 4em; }
  .choices { display: flex; flex-wrap: wrap; gap: 0.5em; }
  .choice { display: inline-flex; gap: 0.55em; align-items: center; padding: 0.45em 0.9em; border: 1px solid var(--ck-color-border); border-radius: var(--ck-radius-control); cursor: pointer; }
  .choice:has(:checked) { border-color: var(--ck-accent); background: var(--ck-accent-soft); }
  .choice input { accent-color: var(--ck-accent); margin: 0; inline-size: 1.05em; block-size: 1.05em; }
  .answered { gap: 0.7em; background: var(--ck-color-surface-sunken); }
  .answered dt { font-size: 0.9em; color: var(--ck-color-muted); }
  .answered dd { margin: 0; display: flex; gap: 0.4em; align-items: center; }
  .answered dd .icon { inline-size: 1em; block-size: 1em; color: var(--ck-color-success); }

  .history { overflow-y: auto; flex: 1; min-block-size: 0; }
  ck-history > .history { padding: 0.25em 0.75em 1em; inline-size: 100%; max-inline-size: 48em; margin-inline: auto; }
  .threads { list-style: none; margin: 0; padding: 0; }
  .age { padding: 0.9em 0.75em 0.3em; font-size: 0.8125em; font-weight: 600; color: var(--ck-color-muted); }
  .thread { display: flex; align-items: center; border-radius: var(--ck-radius-sm); padding-inline-end: 0.2em; }
  .thread:hover, .thread:focus-within { background: var(--ck-color-hover); }
  .thread.current { background: var(--ck-color-hover); font-weight: 500; }
  .thread-title { flex: 1; min-inline-size: 0; padding: calc(0.5em * var(--ck-density)) 0.75em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; border-radius: var(--ck-radius-sm); }
  .thread .icon-button:hover { background: var(--ck-color-pressed); }
  .thread form { display: flex; flex: 1; align-items: center; gap: 0.15em; padding: 0.2em 0.2em 0.2em 0.4em; }
  .thread input { flex: 1; min-inline-size: 0; padding: 0.3em 0.5em; background: var(--ck-color-surface); border: 1px solid var(--ck-color-border-soft); border-radius: var(--ck-radius-sm); }
  .thread.confirm { display: block; padding: 0.75em; background: var(--ck-color-hover); }
  .thread.confirm p { margin: 0 0 0.6em; }
  .search-field { display: flex; align-items: center; gap: 0.5em; min-block-size: 2.4em; margin: 0.2em 0.6em 0.5em; padding-inline: 0.6em 0.1em; border: 1px solid var(--ck-color-border-soft); border-radius: var(--ck-radius-sm); background: var(--ck-color-surface); }
  .search-field > .icon { color: var(--ck-color-muted); inline-size: 1.1em; block-size: 1.1em; }
  .search-field input { flex: 1; min-inline-size: 0; padding: 0.3em 0.2em; border: 0; border-radius: calc(var(--ck-radius-sm) - 2px); background: none; text-align: match-parent; text-align: -webkit-match-parent; }
  .search-field input::-webkit-search-cancel-button { display: none; }
  .search-field input::placeholder { color: var(--ck-color-muted); opacity: 1; }
  .found .hint { margin: 0.2em 0.75em 0.6em; }
  .found-thread { padding-block: 0.15em; }
  .found-thread .thread-title { display: block; inline-size: 100%; padding-inline: 0.75em; font-weight: 500; }
  .found-thread.current > .thread-title, .found-thread .thread-title:hover, .found-item:hover { background: var(--ck-color-hover); }
  .found-items { list-style: none; margin: 0; padding: 0; }
  .found-items .hint { margin: 0 0.75em 0.3em; }
  .found-item { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; inline-size: 100%; padding: 0.3em 0.75em; border-radius: var(--ck-radius-sm); color: var(--ck-color-muted); font-size: 0.875em; line-height: 1.45; overflow-wrap: anywhere; text-align: match-parent; text-align: -webkit-match-parent; }
  .found mark { background: color-mix(in oklab, var(--ck-link) 20%, transparent); color: var(--ck-color-text); border-radius: 0.2em; font-weight: 600; }
  @media (forced-colors: active) { .found mark { background: Mark; color: MarkText; } }
  .revealed { animation: reveal 2.4s ease-out; border-radius: var(--ck-radius-md); }
  .revealed:focus-visible { outline-offset: 6px; }
  @keyframes reveal { from { box-shadow: 0 0 0 6px color-mix(in oklab, var(--ck-link) 22%, transparent); } to { box-shadow: 0 0 0 6px transparent; } }
  @media (prefers-reduced-motion: reduce) { .revealed { animation: none; box-shadow: 0 0 0 3px color-mix(in oklab, var(--ck-link) 35%, transparent); } }
  .empty { color: var(--ck-color-muted); text-align: center; padding: 2em 1em; }
  .more { margin: 0.5em auto; display: flex; }
`;
