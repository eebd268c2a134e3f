/** Charts as SVG, small enough to be written by hand: lines over numbers, and bars. They bring their own background. */

export interface Line {
  readonly name: string
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: number }>
}

export interface LineChart {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly lines: ReadonlyArray<Line>
}

export interface Bar {
  readonly name: string
  readonly value: number
  /** Whether it is what the chart is about. */
  readonly isOwn: boolean
}

export interface BarChart {
  readonly title: string
  readonly unit: string
  readonly bars: ReadonlyArray<Bar>
}

/** Told apart by those who see few colours, too (after Okabe and Ito). */
const colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]
const ink = "#24292f"
const faint = "#d0d7de"
const other = "#8c959f"

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")

const text = (x: number, y: number, content: string, more = "") =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${ink}" ${more}>${escape(content)}</text>`

const frame = (
  width: number,
  height: number,
  title: string,
  content: ReadonlyArray<string>,
) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escape(title)}">
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(16, 26, title, `font-size="16" font-weight="600"`)}
${content.join("\n")}
</svg>
`

/** 1, 2 or 5 times a power of ten, so that at most five steps reach `max`. */
const stepOf = (max: number): number => {
  const power = 10 ** Math.floor(Math.log10(max / 5))
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step * 5 >= max) ?? max
}

const format = (value: number): string => {
  const [divisor, suffix] = value >= 1e6 ? [1e6, " M"] : value >= 1e3 ? [1e3, " k"] : [1, ""]
  return `${Number((value / divisor).toFixed(2))}${suffix}`
}

/** The horizontal axis has the numbers that were measured, evenly spaced: each is a multiple of the one before. */
export const lines = ({ lines, title, x, y }: LineChart): string => {
  const width = 720
  const height = 380
  const [left, right, top, bottom] = [72, 176, 48, 52]
  const xs = [...new Set(lines.flatMap(({ points }) => points.map((point) => point.x)))].sort((a, b) => a - b)
  const max = Math.max(1, ...lines.flatMap(({ points }) => points.map((point) => point.y)))
  const step = stepOf(max)
  const ceiling = Math.ceil(max / step) * step
  const atX = (value: number) =>
    left + (xs.length < 2 ? 0.5 : xs.indexOf(value) / (xs.length - 1)) * (width - left - right)
  const atY = (value: number) => height - bottom - (value / ceiling) * (height - top - bottom)
  const content: Array<string> = []
  for (let value = 0; value <= ceiling; value += step) {
    content.push(
      `<line x1="${left}" x2="${width - right}" y1="${atY(value)}" y2="${atY(value)}" stroke="${faint}"/>`,
      text(left - 8, atY(value) + 4, format(value), `text-anchor="end"`),
    )
  }
  for (const value of xs) content.push(text(atX(value), height - bottom + 20, format(value), `text-anchor="middle"`))
  content.push(
    text((left + width - right) / 2, height - 10, x, `text-anchor="middle"`),
    text(0, 0, y, `text-anchor="middle" transform="translate(18 ${(top + height - bottom) / 2}) rotate(-90)"`),
  )
  const labels = spread(lines.map(({ points }) => atY(points.at(-1)?.y ?? 0)))
  for (const [index, { name, points }] of lines.entries()) {
    const color = colors[index % colors.length]!
    const at = points.map((point) => `${atX(point.x).toFixed(1)},${atY(point.y).toFixed(1)}`)
    content.push(`<polyline points="${at.join(" ")}" fill="none" stroke="${color}" stroke-width="2.5"/>`)
    for (const point of at) {
      const [cx, cy] = point.split(",")
      content.push(`<circle cx="${cx}" cy="${cy}" r="4" fill="${color}"/>`)
    }
    content.push(
      `<circle cx="${width - right + 18}" cy="${(labels[index]! - 4).toFixed(1)}" r="4" fill="${color}"/>`,
      text(width - right + 28, labels[index]!, name),
    )
  }
  return frame(width, height, title, content)
}

/** Heights for labels near those that are wanted, none over another. */
const spread = (wanted: ReadonlyArray<number>): ReadonlyArray<number> => {
  const order = wanted.map((_, index) => index).sort((a, b) => wanted[a]! - wanted[b]!)
  const placed: Array<number> = wanted.map(() => 0)
  let last = -Infinity
  for (const index of order) {
    last = Math.max(wanted[index]! + 4, last + 18)
    placed[index] = last
  }
  return placed
}

export const bars = ({ bars, title, unit }: BarChart): string => {
  const width = 720
  const [left, right, top, thickness, gap] = [190, 130, 52, 28, 14]
  const height = top + bars.length * (thickness + gap) + 12
  const max = Math.max(1, ...bars.map(({ value }) => value))
  const content = bars.flatMap(({ isOwn, name, value }, index) => {
    const y = top + index * (thickness + gap)
    const length = Math.max(1, (value / max) * (width - left - right))
    return [
      text(left - 10, y + thickness / 2 + 5, name, `text-anchor="end"`),
      `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${thickness}" rx="3" fill="${isOwn ? colors[0] : other}"/>`,
      text(
        left + length + 8,
        y + thickness / 2 + 5,
        `${Math.round(value).toLocaleString("en").replaceAll(",", " ")} ${unit}`,
      ),
    ]
  })
  return frame(width, height, title, content)
}
