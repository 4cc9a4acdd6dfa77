/** Looks of Box, Row, Col, Form, Spacer, Divider, Transition, Image, Chart, Table. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const layout = css`
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
