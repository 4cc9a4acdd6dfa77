/** A panel below a control, in the top layer so that no scrolling container cuts it off. */

export type PopupSide = "top" | "bottom" | "left" | "right";
export type PopupAlign = "start" | "center" | "end";

const GAP = 4;
const EDGE = 8;

/** Opens a popover beside its anchor and keeps it inside the window. */
export function openPopup(panel: HTMLElement, anchor: HTMLElement, side: PopupSide = "bottom", align: PopupAlign = "start", sameWidth = false): void {
  if (typeof panel.showPopover === "function" && !panel.matches(":popover-open")) panel.showPopover();
  const place = anchor.getBoundingClientRect();
  if (sameWidth) panel.style.setProperty("min-width", `${place.width}px`);
  const { width, height } = panel.getBoundingClientRect();
  const rtl = getComputedStyle(anchor).direction === "rtl";
  const start = rtl ? place.right - width : place.left;
  const end = rtl ? place.left : place.right - width;
  let left = align === "start" ? start : align === "end" ? end : place.left + (place.width - width) / 2;
  let top = place.bottom + GAP;
  const above = place.top - height - GAP;
  if (side === "top" && above >= EDGE) top = above;
  else if (side === "bottom" && top + height > window.innerHeight - EDGE && above >= EDGE) top = above;
  else if (side === "left" || side === "right") {
    const beside = side === "left" ? place.left - width - GAP : place.right + GAP;
    if (beside >= EDGE && beside + width <= window.innerWidth - EDGE) {
      left = beside;
      top = place.top;
    }
  }
  panel.style.setProperty("left", `${Math.max(EDGE, Math.min(left, window.innerWidth - width - EDGE))}px`);
  panel.style.setProperty("top", `${Math.max(EDGE, Math.min(top, window.innerHeight - height - EDGE))}px`);
}

/** Closes a popover that may be closed already. */
export function closePopup(panel: HTMLElement | null): void {
  if (panel && typeof panel.hidePopover === "function" && panel.matches(":popover-open")) panel.hidePopover();
}
