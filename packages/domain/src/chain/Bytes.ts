/** Bytes as values. */

/** Less than zero, zero or more, as `a` sorts before `b`, equals it or sorts after it. */
export const compareBytes = (a: Uint8Array, b: Uint8Array): number => {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

export const areEqualBytes = (a: Uint8Array, b: Uint8Array): boolean => compareBytes(a, b) === 0
