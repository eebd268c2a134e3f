/** Loaded before a process of the tests: its clock is off by `CLOCK_SHIFT` seconds, from the start or from SIGUSR2 on. */
const real = Date.now
const shift = 1000 * Number(process.env["CLOCK_SHIFT"])
let isShifted = process.env["CLOCK_STEPS"] === undefined
process.on("SIGUSR2", () => (isShifted = !isShifted))
Date.now = () => real() + (isShifted ? shift : 0)
