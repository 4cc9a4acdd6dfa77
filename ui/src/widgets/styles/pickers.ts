/** Looks of Select and DatePicker with their panels. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const pickers = css`
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
    flex: 1 1 auto;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .picker .control > ck-icon {
    color: ${token.muted};
  }
  /* Where there is little room the icon goes, not the end of the date. */
  .picker .control > ck-icon:first-child {
    flex-shrink: 1000;
    min-inline-size: 0;
    overflow: hidden;
  }
  .picker .control.variant-solid > ck-icon {
    color: inherit;
  }
  .picker:has(> .clear) > .control {
    padding-inline-end: calc(var(--gutter) + 1.05em);
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
    border-radius: ${token.radius};
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
    border-radius: calc(${token.radius} * 0.65);
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
`;
