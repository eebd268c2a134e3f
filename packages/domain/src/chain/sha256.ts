/** SHA-256 where there is no `node:crypto`: browsers (WebCrypto has only an asynchronous one). */
export { sha256 } from "@noble/hashes/sha2.js"
