import { hash } from "node:crypto"

/** SHA-256 by OpenSSL: about four times as fast as the portable one for a row of 300 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array => hash("sha256", bytes, "buffer")
