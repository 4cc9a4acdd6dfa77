import { base } from "./base";
import { composer } from "./composer";
import { thread } from "./thread";

export const styles = [base, thread, composer];
