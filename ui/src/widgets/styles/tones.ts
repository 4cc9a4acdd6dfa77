/** Looks of the colours of badges and buttons. */

import { css } from "lit";

import { token } from "../../content/tokens";

export const tones = css`
  .tone-primary {
    --tone: ${token.accent};
    --on-tone: ${token.accentText};
  }
  /* As text an accent needs the contrast of a link. */
  .tone-primary:not(.variant-solid) {
    --tone: var(--ck-link, ${token.accent});
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
