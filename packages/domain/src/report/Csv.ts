/** CSV as RFC 4180 has it: a comma between cells, CRLF after each record. */

/** One record. `null` is an empty cell. */
export const record = (cells: ReadonlyArray<string | null>): string => `${cells.map(quoted).join(",")}\r\n`

const quoted = (cell: string | null): string => {
  if (cell === null) return ""
  return /^\s|[",\r\n]|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

/**
 * Text that others wrote, as a cell. A spreadsheet takes what begins with one of these signs for a formula and runs it, so
 * an apostrophe is put before it; before an apostrophe too, so that without the first one every text is what it was.
 */
export const text = (value: string): string => (/^[=+\-@\t\r\n'＝＋－＠]/.test(value) ? `'${value}` : value)
