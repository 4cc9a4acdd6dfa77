/** Looks of rendered markdown. */

import { css } from "lit";

import { code } from "./codeStyles";
import { token } from "./tokens";

const prose = css`
  :host {
    font-size: ${token.fontSize};
    line-height: 1.6;
    overflow-wrap: break-word;
  }
  .block,
  .chunk {
    contain: layout style;
  }
  .block {
    margin-block-start: 0.85em;
  }
  .block[data-kind="heading"] {
    margin-block-start: 1.5em;
  }
  .block[data-kind="heading"] + .block {
    margin-block-start: 0.5em;
  }
  .chunk:first-child > .block:first-child {
    margin-block-start: 0;
  }
  .block:empty {
    margin: 0;
  }
  p,
  ul,
  ol,
  blockquote,
  figure,
  pre,
  table,
  h1,
  h2,
  h3,
  h4,
  h5,
  h6 {
    margin: 0;
  }
  h1,
  h2,
  h3,
  h4,
  h5,
  h6 {
    font-weight: 600;
    line-height: 1.3;
    text-wrap: balance;
  }
  h1 {
    font-size: 1.5em;
    letter-spacing: -0.015em;
  }
  h2 {
    font-size: 1.25em;
    letter-spacing: -0.01em;
  }
  h3 {
    font-size: 1.1em;
  }
  h4,
  h5,
  h6 {
    font-size: 1em;
  }
  h6 {
    color: ${token.muted};
  }
  strong {
    font-weight: 600;
  }
  ul,
  ol {
    padding-inline-start: 1.6em;
  }
  li + li,
  :is(ul, ol) + :is(ul, ol),
  li > ul,
  li > ol {
    margin-block-start: 0.3em;
  }
  li > * + p,
  li > p + *,
  li > figure {
    margin-block-start: 0.5em;
  }
  li::marker {
    color: ${token.muted};
    font-variant-numeric: tabular-nums;
  }
  li.task {
    list-style: none;
    margin-inline-start: -1.45em;
  }
  li.task input {
    inline-size: 1em;
    block-size: 1em;
    margin: 0;
    margin-inline-end: 0.45em;
    vertical-align: -0.12em;
    accent-color: ${token.accent};
  }
  li.task > p:first-child {
    display: inline;
  }
  blockquote {
    padding-inline-start: 1em;
    border-inline-start: 3px solid ${token.border};
    color: ${token.muted};
  }
  blockquote > * + * {
    margin-block-start: 0.6em;
  }
  .plain {
    white-space: pre-wrap;
    overflow-wrap: anywhere;
  }
  .image-button {
    display: inline-flex;
    flex-direction: column;
    align-items: flex-start;
    max-inline-size: 100%;
    margin-block: calc(${token.space} * 0.5);
    padding: calc(${token.space} * 2) calc(${token.space} * 3);
    vertical-align: middle;
    border: 1px dashed ${token.borderStrong};
    border-radius: ${token.radius};
    background: ${token.sunken};
    color: ${token.text};
    font-size: 0.9em;
    text-align: start;
    overflow-wrap: anywhere;
    cursor: pointer;
  }
  .image-button:hover {
    border-style: solid;
  }
  .image-alt {
    color: ${token.muted};
  }
  hr {
    margin-block: 1.6em;
    border: 0;
    border-block-start: 1px solid ${token.border};
  }
  a,
  button.deep {
    color: var(--ck-link, ${token.accent});
    text-decoration: underline;
    text-decoration-thickness: 1px;
    text-underline-offset: 0.18em;
    text-decoration-color: color-mix(in srgb, currentColor 45%, transparent);
  }
  a:hover,
  button.deep:hover {
    text-decoration-color: currentColor;
  }
  button.deep {
    padding: 0;
    border: 0;
    background: none;
    cursor: pointer;
  }
  img {
    max-inline-size: 100%;
    block-size: auto;
    border-radius: ${token.radius};
  }
  kbd {
    padding: 0.1em 0.4em;
    border: 1px solid ${token.border};
    border-block-end-width: 2px;
    border-radius: 5px;
    font-family: ${token.mono};
    font-size: 0.85em;
  }
  mark {
    padding-inline: 0.15em;
    border-radius: 3px;
    background: light-dark(#fff0b3, #5a4a00);
    color: inherit;
  }
  details {
    padding: 0.5em 0.85em;
    border: 1px solid ${token.border};
    border-radius: calc(${token.radius} * 0.75);
  }
  summary {
    cursor: pointer;
    font-weight: 500;
  }
`;

const table = css`
  .table {
    overflow-x: auto;
    border: 1px solid ${token.border};
    border-radius: ${token.radius};
    scrollbar-width: thin;
  }
  table {
    inline-size: 100%;
    border-collapse: collapse;
    font-size: 0.925em;
    font-variant-numeric: tabular-nums;
  }
  th,
  td {
    padding: calc(${token.space} * 2) calc(${token.space} * 3.5);
    text-align: start;
    vertical-align: top;
    min-inline-size: 6.5em;
  }
  th {
    background: ${token.sunken};
    font-weight: 600;
    white-space: nowrap;
  }
  tr + tr td,
  tbody tr td {
    border-block-start: 1px solid ${token.border};
  }
  /* Sections of large blocks that are out of sight cost nothing; they keep the height that they had. */
  :is(ul, ol, tbody).done,
  .piece.done {
    content-visibility: auto;
    contain-intrinsic-block-size: auto 100rem;
  }
  table.large,
  table.large > :is(thead, tbody) {
    display: block;
  }
  table.large tr {
    display: grid;
    grid-template-columns: var(--columns);
  }
  .align-center {
    text-align: center;
  }
  .align-right {
    text-align: end;
  }
`;

const formula = css`
  .math {
    font-family: ${token.mono};
    font-size: 0.9em;
  }
  .math.done {
    font-family: inherit;
    font-size: 1em;
  }
  .math.display {
    display: block;
    padding-block: 0.35em;
    overflow-x: auto;
    overflow-y: hidden;
    text-align: center;
    scrollbar-width: thin;
  }
  .math:not(.done) {
    color: ${token.muted};
    white-space: pre-wrap;
  }
  math {
    font-family: "Cambria Math", "STIX Two Math", "Latin Modern Math", "NotoSansMath-Regular", "DejaVu Math TeX Gyre", math;
    font-size: 1.08em;
    direction: ltr;
  }
  math.tml-display {
    display: block math;
  }
  .tml-left,
  .tml-right,
  .tml-jot mtd {
    padding-inline: 0.25em;
  }
  mtable {
    display: inline-table;
  }
`;

const notes = css`
  .alert {
    --alert: ${token.info};
    padding-block: calc(${token.space} * 0.5);
    padding-inline-start: 1em;
    border-inline-start: 3px solid var(--alert);
  }
  .alert > * + * {
    margin-block-start: 0.4em;
  }
  .alert-tip {
    --alert: ${token.success};
  }
  .alert-important {
    --alert: ${token.discovery};
  }
  .alert-warning {
    --alert: ${token.warning};
  }
  .alert-caution {
    --alert: ${token.danger};
  }
  .alert-title {
    display: flex;
    align-items: center;
    gap: calc(${token.space} * 1.5);
    color: var(--alert);
    font-weight: 600;
  }
  sup,
  sub {
    line-height: 0;
  }
  .note-reference,
  .note-back {
    padding: 0 0.25em;
    border: 0;
    border-radius: 4px;
    background: none;
    color: var(--ck-link, ${token.accent});
    font-variant-numeric: tabular-nums;
    line-height: 1.4;
    cursor: pointer;
  }
  .note-reference:hover,
  .note-back:hover {
    text-decoration: underline;
  }
  .notes {
    margin-block-start: 1.4em;
    padding-block-start: 0.8em;
    border-block-start: 1px solid ${token.border};
    color: ${token.muted};
    font-size: 0.875em;
  }
`;

const citations = css`
  .cite {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    min-inline-size: 1.55em;
    block-size: 1.55em;
    margin-inline: 0.2em 0.05em;
    padding: 0 0.4em;
    border: 0;
    border-radius: 999px;
    background: color-mix(in srgb, ${token.text} 9%, transparent);
    color: ${token.muted};
    font: 500 0.72em/1 ${token.font};
    font-variant-numeric: tabular-nums;
    text-decoration: none;
    vertical-align: 0.18em;
    cursor: pointer;
  }
  .cite.named {
    max-inline-size: 16em;
    overflow: hidden;
    font-size: 0.8em;
    text-overflow: ellipsis;
    vertical-align: 0.08em;
    white-space: nowrap;
  }
  .cite:hover,
  .cite:focus-visible {
    background: ${token.accent};
    color: ${token.accentText};
  }
  .preview {
    position: fixed;
    inset: auto;
    inline-size: max-content;
    max-inline-size: min(22rem, calc(100vw - 16px));
    max-block-size: calc(100vh - 16px);
    margin: 0;
    overflow: auto;
    padding: calc(${token.space} * 3) calc(${token.space} * 3.5);
    border: 1px solid ${token.border};
    border-radius: ${token.radius};
    background: ${token.raised};
    color: ${token.text};
    box-shadow: ${token.shadow};
    font-size: 0.85rem;
    line-height: 1.45;
  }
  .preview.bare {
    padding: 0;
    border: 0;
  }
  .preview .origin {
    display: flex;
    align-items: center;
    gap: calc(${token.space} * 1.5);
    color: ${token.muted};
    font-size: 0.92em;
  }
  .preview .title {
    margin-block-start: ${token.space};
    font-weight: 600;
  }
  .preview .description {
    display: -webkit-box;
    margin-block-start: ${token.space};
    overflow: hidden;
    -webkit-box-orient: vertical;
    -webkit-line-clamp: 4;
  }
  .preview .detail {
    margin-block-start: calc(${token.space} * 1.5);
    color: ${token.muted};
    font-size: 0.92em;
  }
`;

export const markdownStyles = [prose, code, table, formula, notes, citations];
