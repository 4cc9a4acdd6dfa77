/** Looks of widgets. */

import { css } from "lit";

import { token } from "../content/tokens";

const roots = css`
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

const layout = css`
  .box {
    display: flex;
    min-inline-size: 0;
    max-inline-size: 100%;
  }
  .col {
    flex-direction: column;
  }
  .row {
    flex-direction: row;
  }
  .box.row {
    align-items: center;
  }
  .box.row.row {
    gap: calc(${token.space} * 2);
  }
  .box.form {
    gap: calc(${token.space} * 3);
    margin: 0;
  }
  .box.basic {
    gap: calc(${token.space} * 3);
  }
  .box > *,
  .card-body > *,
  .item-content > * {
    min-inline-size: 0;
    flex-shrink: 1;
  }
  form[aria-busy] {
    opacity: 0.7;
  }
  .spacer {
    flex: 1 1 auto;
  }
  .divider {
    --line: ${token.border};
    --size: 1px;
    --spacing: 0px;
    flex: none;
    align-self: stretch;
    margin: var(--spacing) 0;
    border: 0;
    border-block-start: var(--size) solid var(--line);
  }
  .box.row > .divider {
    margin: 0 var(--spacing);
    border-block-start: 0;
    border-inline-start: var(--size) solid var(--line);
  }
  .card-body > .divider.flush {
    margin-inline: calc(-1 * var(--pad));
  }
  .transition > * {
    animation: appear 0.25s ease-out;
  }
  @keyframes appear {
    from {
      opacity: 0;
      transform: translateY(4px);
    }
  }
  .image {
    display: block;
    max-inline-size: 100%;
    border-radius: calc(${token.radius} * 0.6);
  }
  .image.frame {
    border: 1px solid ${token.border};
  }
  .card-body > .image.flush {
    max-inline-size: none;
    inline-size: calc(100% + 2 * var(--pad));
    margin-inline: calc(-1 * var(--pad));
    border-radius: 0;
  }
  .card-body > .image.flush:first-child {
    margin-block-start: calc(-1 * var(--pad));
  }
  .image.refused {
    display: flex;
    align-items: center;
    justify-content: center;
    gap: calc(${token.space} * 2);
    min-block-size: 3em;
    padding: calc(${token.space} * 2);
    border: 1px dashed ${token.border};
    color: ${token.muted};
    font-size: 0.8125em;
  }
  .chart {
    inline-size: 100%;
    min-inline-size: 0;
  }
  .table {
    inline-size: 100%;
    overflow-x: auto;
    scrollbar-width: thin;
  }
  .table table {
    inline-size: 100%;
    border-collapse: collapse;
    font-size: 0.9em;
    font-variant-numeric: tabular-nums;
  }
  .table th,
  .table td {
    padding: calc(${token.space} * 2) calc(${token.space} * 2.5);
    border-block-end: 1px solid ${token.border};
    font-weight: inherit;
  }
  .table tr > :first-child {
    padding-inline-start: 0;
  }
  .table tr > :last-child {
    padding-inline-end: 0;
  }
  .table tbody tr:last-child > * {
    border-block-end: 0;
  }
  .table th {
    color: ${token.muted};
    font-weight: 500;
  }
  .cell {
    display: flex;
    flex-direction: column;
    gap: ${token.space};
  }
  .cell.align-center {
    align-items: center;
  }
  .cell.align-end {
    align-items: flex-end;
  }
`;

const texts = css`
  .text,
  .title,
  .caption {
    margin: 0;
    min-inline-size: 0;
    overflow-wrap: anywhere;
    text-align: match-parent;
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
    border-radius: calc(${token.radiusControl} * 0.75);
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

const tones = css`
  .tone-primary {
    --tone: ${token.accent};
    --on-tone: ${token.accentText};
  }
  .tone-secondary {
    --tone: ${token.text};
    --on-tone: ${token.surface};
  }
  .tone-success {
    --tone: ${token.success};
    --on-tone: light-dark(#fff, #0d1a13);
  }
  .tone-warning,
  .tone-caution {
    --tone: ${token.warning};
    --on-tone: light-dark(#fff, #1d1404);
  }
  .tone-danger {
    --tone: ${token.danger};
    --on-tone: light-dark(#fff, #220907);
  }
  .tone-info {
    --tone: ${token.info};
    --on-tone: light-dark(#fff, #071427);
  }
  .tone-discovery {
    --tone: ${token.discovery};
    --on-tone: light-dark(#fff, #150a2b);
  }
  .variant-solid {
    background: var(--tone);
    color: var(--on-tone);
  }
  .variant-soft {
    background: color-mix(in srgb, var(--tone) 11%, transparent);
    color: var(--tone);
  }
  .badge.variant-outline {
    border-color: color-mix(in srgb, var(--tone) 45%, transparent);
    color: var(--tone);
  }
`;

const controls = css`
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
    visibility: hidden;
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
  .control {
    inline-size: 100%;
    color: ${token.text};
  }
  .control.variant-outline {
    border-color: ${token.borderStrong};
    background: ${token.surface};
  }
  .control.variant-soft {
    background: ${token.sunken};
    color: inherit;
  }
  .control.variant-ghost {
    background: none;
  }
  .control.variant-ghost:hover {
    background: ${token.sunken};
  }
  .control.variant-solid {
    background: ${token.text};
    color: ${token.surface};
  }
  .control.variant-solid .placeholder {
    color: inherit;
  }
  .control:focus-visible {
    outline-offset: 0;
  }
  .control::placeholder,
  .editable::placeholder,
  .placeholder {
    color: ${token.muted};
    opacity: 1;
  }
  :is(.control, .editable):user-invalid {
    border-color: ${token.danger};
  }
  textarea.control {
    display: block;
    padding-block: calc((var(--height) - 1.4em) / 2);
    line-height: 1.4;
    resize: vertical;
  }
  textarea.auto-resize {
    field-sizing: content;
    min-block-size: calc(var(--rows) * 1.4em + var(--height) - 1.4em + 2px);
    max-block-size: min(60vh, calc(var(--max-rows) * 1.4em + var(--height) - 1.4em + 2px));
    resize: none;
  }
  ck-select,
  ck-date-picker {
    display: inline-block;
    max-inline-size: 100%;
    min-inline-size: 0;
  }
  ck-select.block,
  ck-date-picker.block,
  .col > ck-select,
  .col > ck-date-picker {
    inline-size: 100%;
  }
  .picker {
    position: relative;
    display: inline-flex;
    inline-size: 100%;
    min-inline-size: 0;
    background: none;
    font-size: inherit;
  }
  .picker > .control {
    display: inline-flex;
    align-items: center;
    gap: 0.5em;
    text-align: start;
    cursor: pointer;
  }
  .picker .value {
    flex: 1;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .picker .control > ck-icon {
    color: ${token.muted};
  }
  .picker .control.variant-solid > ck-icon {
    color: inherit;
  }
  .picker:has(> .clear) > .control {
    padding-inline-end: calc(var(--gutter) + 1.6em);
  }
  .clear {
    position: absolute;
    inset-block: 0;
    inset-inline-end: 0.35em;
    display: inline-flex;
    align-items: center;
    justify-content: center;
    inline-size: 1.75em;
    block-size: 1.75em;
    margin-block: auto;
    padding: 0;
    border: 0;
    border-radius: 50%;
    background: none;
    color: ${token.muted};
    font-size: 0.875em;
    cursor: pointer;
  }
  .clear:hover {
    background: color-mix(in srgb, ${token.text} 9%, transparent);
    color: ${token.text};
  }
  .picker:has(> .clear) > .control > .chevron {
    display: none;
  }
  .popup {
    position: fixed;
    inset: auto;
    max-inline-size: min(24em, calc(100vw - 16px));
    max-block-size: min(22em, calc(100vh - 16px));
    margin: 0;
    padding: ${token.space};
    overflow: auto;
    border: 1px solid ${token.border};
    border-radius: calc(${token.radiusControl} + ${token.space});
    background: ${token.raised};
    color: ${token.text};
    box-shadow: ${token.shadow};
    font-size: 0.875rem;
  }
  .popup [role="listbox"]:focus-visible {
    outline: none;
  }
  .search {
    inline-size: 100%;
    margin-block-end: ${token.space};
    padding: 0.45em 0.7em;
    border: 0;
    border-block-end: 1px solid ${token.border};
    background: none;
    color: inherit;
    font: inherit;
  }
  .search:focus-visible {
    outline: none;
  }
  .option {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 1em;
    padding: 0.45em 0.7em;
    border-radius: ${token.radiusControl};
    cursor: pointer;
  }
  .option[data-active="true"] {
    background: ${token.sunken};
  }
  .option[aria-disabled] {
    opacity: 0.5;
    cursor: not-allowed;
  }
  .option-text {
    display: flex;
    flex-direction: column;
  }
  .option-description,
  .empty {
    color: ${token.muted};
    font-size: 0.9em;
  }
  .empty {
    padding: 0.45em 0.7em;
  }
  .calendar {
    padding: calc(${token.space} * 2.5);
    max-block-size: none;
  }
  .month {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding-block-end: calc(${token.space} * 1.5);
    font-weight: 600;
  }
  .step {
    display: inline-flex;
    padding: 0.4em;
    border: 0;
    border-radius: ${token.radiusControl};
    background: none;
    cursor: pointer;
  }
  .step:hover {
    background: ${token.sunken};
  }
  :host(:dir(rtl)) .step ck-icon {
    transform: scaleX(-1);
  }
  .calendar table {
    border-collapse: collapse;
  }
  .calendar th {
    block-size: 2.2em;
    color: ${token.muted};
    font-size: 0.85em;
    font-weight: 500;
  }
  .calendar td {
    padding: 1px;
  }
  .day {
    inline-size: 2.35em;
    block-size: 2.35em;
    padding: 0;
    border: 1px solid transparent;
    border-radius: ${token.radiusControl};
    background: none;
    font-variant-numeric: tabular-nums;
    cursor: pointer;
  }
  .day:hover:not(:disabled) {
    background: ${token.sunken};
  }
  .day.outside {
    color: ${token.muted};
  }
  .day.today {
    border-color: ${token.borderStrong};
  }
  .day.chosen,
  .day.chosen:hover:not(:disabled) {
    background: ${token.accent};
    color: ${token.accentText};
  }
  .day:disabled {
    opacity: 0.35;
    cursor: not-allowed;
  }
  .radios {
    display: flex;
    flex-wrap: wrap;
    gap: calc(${token.space} * 2) calc(${token.space} * 4);
  }
  .radios.col {
    flex-wrap: nowrap;
  }
  .choice {
    display: inline-flex;
    align-items: flex-start;
    gap: 0.55em;
    font-size: 0.9375em;
    cursor: pointer;
  }
  .choice:has(:disabled) {
    opacity: 0.55;
    cursor: not-allowed;
  }
  .choice input {
    flex: none;
    inline-size: 1.1em;
    block-size: 1.1em;
    margin: 0.2em 0 0;
    accent-color: ${token.accent};
    cursor: inherit;
  }
`;

export const widgetStyles = [roots, layout, texts, tones, controls];
