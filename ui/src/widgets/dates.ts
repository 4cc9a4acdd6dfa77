/** Days as `YYYY-MM-DD`, counted without time zones. */

/** The day of an ISO date or date and time, as it is written; null where it is none. */
export function readDay(value: unknown): string | null {
  const match = typeof value === "string" ? /^(\d{4}-\d{2}-\d{2})(?:$|[T ])/.exec(value.trim()) : null;
  // Months around it have to be days of four digits' years, too.
  const isInside = match !== null && match[1]! > "0002" && match[1]! < "9990";
  return match && isInside && !Number.isNaN(Date.parse(`${match[1]}T00:00:00Z`)) ? match[1]! : null;
}

const utc = (day: string): Date => new Date(`${day}T00:00:00Z`);
const write = (date: Date): string => date.toISOString().slice(0, 10);

export function addDays(day: string, count: number): string {
  const date = utc(day);
  date.setUTCDate(date.getUTCDate() + count);
  return write(date);
}

/** The same day of another month, or that month's last. */
export function addMonths(day: string, count: number): string {
  const date = utc(day);
  const wanted = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + count);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(wanted, last));
  return write(date);
}

/** Today, where the reader is. */
export function today(now: Date = new Date()): string {
  return write(new Date(Date.UTC(now.getFullYear(), now.getMonth(), now.getDate())));
}

/** Keeps a day between two others, of which either may be missing. */
export function clampDay(day: string, min: string | null, max: string | null): string {
  if (min !== null && day < min) return min;
  return max !== null && day > max ? max : day;
}

/** Number of the weekday with which weeks begin, 0 for Sunday. */
export function firstWeekday(locale: string): number {
  try {
    const info = new Intl.Locale(locale) as Intl.Locale & { weekInfo?: { firstDay: number }; getWeekInfo?(): { firstDay: number } };
    const first = info.getWeekInfo?.().firstDay ?? info.weekInfo?.firstDay;
    return first === undefined ? 1 : first % 7;
  } catch {
    return 1;
  }
}

/** The six weeks around the month of a day, each of seven days. */
export function monthGrid(day: string, first: number): string[][] {
  const start = `${day.slice(0, 7)}-01`;
  const lead = (utc(start).getUTCDay() - first + 7) % 7;
  const begin = addDays(start, -lead);
  return Array.from({ length: 6 }, (_, week) => Array.from({ length: 7 }, (_unused, place) => addDays(begin, week * 7 + place)));
}

export function formatDay(day: string, locale: string, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC" }).format(utc(day));
}
