/** All icons of lucide; a chunk of its own, for `lucide:` names only. */

export { icons as allIcons } from "lucide";
