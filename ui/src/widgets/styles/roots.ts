/** Looks of Card, ListView, ListViewItem, Basic, and what stands below a widget. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const roots = css`
  :host {
    max-inline-size: 100%;
    text-align: start;
    font-size: ${token.fontSize};
    line-height: 1.5;
  }
  .widget {
    color: ${token.text};
    transition: opacity 0.15s;
  }
  .widget.waiting {
    opacity: 0.6;
  }
  .card {
    --pad: calc(${token.space} * 4);
    display: flex;
    flex-direction: column;
    inline-size: 100%;
    overflow: hidden;
    border: 1px solid ${token.border};
    border-radius: ${token.radius};
    background-color: ${token.raised};
    color: ${token.text};
  }
  .card-sm {
    max-inline-size: 360px;
  }
  .card-md {
    max-inline-size: 440px;
  }
  .card-lg {
    max-inline-size: 560px;
  }
  .card-body {
    display: flex;
    flex-direction: column;
    gap: calc(${token.space} * 3);
    min-inline-size: 0;
    padding: var(--pad);
  }
  .card.collapsed .card-body {
    max-block-size: 5.5em;
    overflow: hidden;
    mask-image: linear-gradient(#000 40%, transparent);
  }
  .status {
    display: flex;
    align-items: center;
    gap: calc(${token.space} * 2);
    padding: calc(${token.space} * 2.5) var(--pad);
    border-block-end: 1px solid ${token.border};
    color: ${token.muted};
    font-size: 0.8125em;
  }
  .favicon {
    inline-size: 1.25em;
    block-size: 1.25em;
    border-radius: 4px;
    object-fit: contain;
  }
  .favicon.frame {
    padding: 2px;
    border: 1px solid ${token.border};
    background: #fff;
  }
  .card-actions {
    display: flex;
    flex-wrap: wrap;
    justify-content: flex-end;
    gap: calc(${token.space} * 2);
    padding: calc(${token.space} * 3) var(--pad);
    border-block-start: 1px solid ${token.border};
  }
  .fold,
  .more {
    display: flex;
    align-items: center;
    justify-content: center;
    gap: calc(${token.space} * 1.5);
    padding: calc(${token.space} * 2.5);
    border: 0;
    border-block-start: 1px solid ${token.border};
    background: none;
    color: ${token.muted};
    font-size: 0.875em;
    cursor: pointer;
  }
  .fold:hover,
  .more:hover {
    background: ${token.sunken};
    color: ${token.text};
  }
  .fold:focus-visible,
  .more:focus-visible {
    outline-offset: -2px;
  }
  .fold[aria-expanded="true"] ck-icon {
    transform: rotate(180deg);
  }
  .list {
    max-inline-size: 560px;
  }
  .list ul {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .list li + li {
    border-block-start: 1px solid ${token.border};
  }
  .item {
    position: relative;
    padding: calc(${token.space} * 3) var(--pad);
  }
  .item-content {
    display: flex;
    align-items: center;
    gap: calc(${token.space} * 3);
    min-inline-size: 0;
  }
  .item.clickable:hover {
    background: ${token.sunken};
  }
  .item[aria-busy] .item-content {
    opacity: 0.5;
  }
  .hit {
    position: absolute;
    inset: 0;
    z-index: 0;
    border: 0;
    background: none;
    cursor: pointer;
  }
  .hit:focus-visible {
    outline-offset: -2px;
    border-radius: ${token.radius};
  }
  .clickable .item-content {
    pointer-events: none;
  }
  .clickable .item-content :is(button, input, textarea, a, label, ck-select, ck-date-picker) {
    position: relative;
    z-index: 1;
    pointer-events: auto;
  }
  .item > .spinner {
    position: absolute;
    inset-block-start: calc(50% - 0.5em);
    inset-inline-end: var(--pad);
  }
  .unknown {
    color: ${token.muted};
    font-size: 0.875em;
  }
  .messages:empty {
    display: none;
  }
  .failure {
    display: flex;
    align-items: center;
    gap: calc(${token.space} * 1.5);
    margin: calc(${token.space} * 2) 0 0;
    color: ${token.danger};
    font-size: 0.875em;
  }
`;
