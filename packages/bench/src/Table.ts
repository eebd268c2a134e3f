/** Tables of text that read well in a terminal and are Markdown as they are. */

export interface Column<Row> {
  readonly name: string
  readonly isText?: boolean
  readonly cell: (row: Row) => string
}

export const render = <Row>(columns: ReadonlyArray<Column<Row>>, rows: ReadonlyArray<Row>): string => {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)))
  const widths = columns.map(({ name }, index) => Math.max(3, name.length, ...cells.map((row) => row[index]!.length)))
  const pad = (text: string, index: number) =>
    columns[index]!.isText === true ? text.padEnd(widths[index]!) : text.padStart(widths[index]!)
  const line = (row: ReadonlyArray<string>) => `| ${row.map(pad).join(" | ")} |`
  const rule = columns.map(({ isText }, index) =>
    isText === true ? "-".repeat(widths[index]!) : `${"-".repeat(widths[index]! - 1)}:`,
  )
  return [line(columns.map(({ name }) => name)), `| ${rule.join(" | ")} |`, ...cells.map(line)].join("\n")
}

const none = "–"

/** With a space between thousands. */
export const integer = (value: number | null): string =>
  value === null ? none : String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, " ")

/** Milliseconds, with a tenth below a hundred and a hundredth below ten. */
export const millis = (value: number | undefined | null): string =>
  value === undefined || value === null
    ? none
    : value < 10
      ? value.toFixed(2)
      : value < 100
        ? value.toFixed(1)
        : integer(value)

export const cores = (value: number | null): string => (value === null ? none : value.toFixed(2))

/** Megabytes of a million bytes. */
export const megabytes = (bytes: number | null): string => (bytes === null ? none : `${integer(bytes / 1e6)} MB`)
