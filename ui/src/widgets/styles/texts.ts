/** Looks of Text, Title, Caption, Badge, Icon, Label. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const texts = css`
  .text,
  .title,
  .caption {
    margin: 0;
    min-inline-size: 0;
    overflow-wrap: anywhere;
    /* Chromium knows it by the prefix alone. */
    text-align: match-parent;
    text-align: -webkit-match-parent;
    white-space: pre-line;
  }
  .caption {
    color: ${token.muted};
  }
  .text-xs {
    font-size: 0.75em;
  }
  .text-sm {
    font-size: 0.875em;
  }
  .text-md {
    font-size: 1em;
  }
  .text-lg {
    font-size: 1.125em;
  }
  .text-xl {
    font-size: 1.25em;
  }
  .title {
    font-weight: 600;
    line-height: 1.25;
    letter-spacing: -0.01em;
  }
  .title-sm {
    font-size: 1em;
  }
  .title-md {
    font-size: 1.125em;
  }
  .title-lg {
    font-size: 1.25em;
  }
  .title-xl {
    font-size: 1.5em;
  }
  .title-2xl {
    font-size: 1.875em;
  }
  .title-3xl {
    font-size: 2.25em;
  }
  .title-4xl {
    font-size: 3em;
  }
  .title-5xl {
    font-size: 3.75em;
  }
  .caption-sm {
    font-size: 0.75em;
  }
  .caption-md {
    font-size: 0.8125em;
  }
  .caption-lg {
    font-size: 0.875em;
  }
  .weight-normal {
    font-weight: 400;
  }
  .weight-medium {
    font-weight: 500;
  }
  .weight-semibold {
    font-weight: 600;
  }
  .weight-bold {
    font-weight: 700;
  }
  .italic {
    font-style: italic;
  }
  .struck {
    text-decoration: line-through;
  }
  .truncate {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .clamp {
    display: -webkit-box;
    overflow: hidden;
    -webkit-box-orient: vertical;
  }
  .text.streaming::after {
    content: "";
    display: inline-block;
    inline-size: 0.5em;
    block-size: 0.5em;
    margin-inline-start: 0.25em;
    border-radius: 50%;
    background: currentColor;
    opacity: 0.5;
    animation: pulse 1s ease-in-out infinite alternate;
  }
  @keyframes pulse {
    to {
      opacity: 0.15;
    }
  }
  .editable {
    display: block;
    inline-size: 100%;
    padding: 0.15em 0.35em;
    margin-inline: -0.35em;
    border: 1px solid transparent;
    border-radius: calc(${token.radius} * 0.5);
    background: none;
    color: inherit;
    font-family: inherit;
    line-height: inherit;
    resize: none;
    field-sizing: content;
  }
  .editable:hover {
    background: ${token.sunken};
  }
  .editable:focus {
    border-color: ${token.borderStrong};
    background: ${token.surface};
  }
  .label {
    display: block;
    cursor: default;
  }
  .badge {
    display: inline-flex;
    align-items: center;
    inline-size: fit-content;
    flex: none;
    border: 1px solid transparent;
    border-radius: 6px;
    font-weight: 500;
    line-height: 1.35;
    white-space: nowrap;
  }
  .badge.pill {
    border-radius: 999px;
  }
  .badge-sm {
    padding: 0.1em 0.5em;
    font-size: 0.75em;
  }
  .badge-md {
    padding: 0.2em 0.6em;
    font-size: 0.8125em;
  }
  .badge-lg {
    padding: 0.25em 0.7em;
    font-size: 0.875em;
  }
  .icon {
    display: inline-flex;
    flex: none;
    line-height: 1;
  }
  .icon-xs {
    font-size: 0.75em;
  }
  .icon-sm {
    font-size: 0.875em;
  }
  .icon-md {
    font-size: 1.125em;
  }
  .icon-lg {
    font-size: 1.375em;
  }
  .icon-xl {
    font-size: 1.625em;
  }
  .icon-2xl {
    font-size: 2em;
  }
  .icon-3xl {
    font-size: 2.5em;
  }
`;
