/** All views of content; importing this registers their elements. */

export { CkGeneratedImage } from "./generatedImage";
export { CkIcon } from "./icon";
export { CkMarkdown } from "./markdown";
export { CkSources } from "./sources";
export { contentStrings } from "./strings";
export { CkTask } from "./task";
export { CkWorkflow } from "./workflow";
