/** The view of widgets; importing this registers its elements. */

export { CkWidget, componentNames } from "./widget";
