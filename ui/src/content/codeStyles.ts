/** Looks of code in markdown. */

import { css } from "lit";

import { token } from "./tokens";

export const code = css`
  code {
    font-family: ${token.mono};
    font-size: 0.875em;
  }
  pre > code,
  .piece {
    display: block;
  }
  :not(pre) > code {
    padding: 0.15em 0.35em;
    border-radius: 5px;
    background: ${token.sunken};
    overflow-wrap: anywhere;
  }
  figure.code {
    overflow: hidden;
    border: 1px solid ${token.border};
    border-radius: ${token.radius};
    background: ${token.sunken};
  }
  figcaption {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: calc(${token.space} * 1) calc(${token.space} * 1.5) calc(${token.space} * 1) calc(${token.space} * 4);
    color: ${token.muted};
    font-size: 0.78em;
    user-select: none;
  }
  button.copy {
    display: inline-flex;
    padding: calc(${token.space} * 1.5);
    border: 0;
    border-radius: calc(${token.radius} * 0.5);
    background: none;
    color: inherit;
    font-size: 1.25em;
    cursor: pointer;
  }
  button.copy:hover {
    background: color-mix(in srgb, ${token.text} 9%, transparent);
    color: ${token.text};
  }
  button.copy[data-state="code.copied"] {
    color: ${token.success};
  }
  pre {
    padding: calc(${token.space} * 1) calc(${token.space} * 4) calc(${token.space} * 3.5);
    overflow-x: auto;
    line-height: 1.55;
    tab-size: 4;
    scrollbar-width: thin;
    outline-offset: -2px;
  }
  .hljs-comment,
  .hljs-quote {
    color: light-dark(#62656f, #9a9ca8);
    font-style: italic;
  }
  .hljs-keyword,
  .hljs-selector-tag,
  .hljs-doctag,
  .hljs-template-tag {
    color: light-dark(#a626a4, #d9a0f5);
  }
  .hljs-string,
  .hljs-regexp,
  .hljs-addition,
  .hljs-meta .hljs-string {
    color: light-dark(#1a6b33, #8fd6a0);
  }
  .hljs-number,
  .hljs-literal,
  .hljs-attr,
  .hljs-attribute,
  .hljs-symbol,
  .hljs-bullet {
    color: light-dark(#8f4700, #f0b67f);
  }
  .hljs-title,
  .hljs-section,
  .hljs-name,
  .hljs-selector-id,
  .hljs-selector-class {
    color: light-dark(#1b56c4, #8cb8ff);
  }
  .hljs-built_in,
  .hljs-type,
  .hljs-class .hljs-title,
  .hljs-params,
  .hljs-variable,
  .hljs-template-variable {
    color: light-dark(#0b6478, #7fd0df);
  }
  .hljs-params {
    color: inherit;
  }
  .hljs-meta,
  .hljs-link {
    color: light-dark(#5f5f00, #d6d48a);
  }
  .hljs-deletion {
    color: ${token.danger};
  }
  .hljs-emphasis {
    font-style: italic;
  }
  .hljs-strong {
    font-weight: 600;
  }
`;
