/** The strings of a locale, and what follows from the locale. */

import { contentStrings } from "../content/strings";
import { en } from "./en";

export type Table = Readonly<Record<string, string>>;

const TABLES: Record<string, () => Promise<Table>> = {
  ar: async () => ({ ...(await import("./content")).contentAr, ...(await import("./ar")).ar }),
  de: async () => ({ ...(await import("./content")).contentDe, ...(await import("./de")).de }),
};

/** Returns the table of a locale's language; English where there is none. */
export async function loadTable(locale: string): Promise<Table> {
  const language = languageOf(locale);
  const load = Object.hasOwn(TABLES, language) ? TABLES[language] : undefined;
  const table = load ? await load() : {};
  return { ...english(), ...table };
}

export function english(): Table {
  return { ...contentStrings, ...en };
}

/** Fills the arguments into a string of a table. */
export function format(table: Table, key: string, args: Record<string, string | number> = {}): string {
  const text = table[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in args ? String(args[name]) : whole));
}

const RTL = new Set(["ar", "arc", "ckb", "dv", "fa", "ha", "he", "khw", "ks", "ps", "sd", "ur", "yi"]);

export function languageOf(locale: string): string {
  return locale.toLowerCase().split(/[-_]/)[0] ?? "en";
}

export function isRightToLeft(locale: string): boolean {
  return RTL.has(languageOf(locale));
}

/** Returns a locale that `Intl` takes: the one given, or English where it is none. */
export function validLocale(locale: string): string {
  try {
    return Intl.getCanonicalLocales(locale)[0] ?? "en";
  } catch {
    return "en";
  }
}
