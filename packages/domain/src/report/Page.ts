/** Rows of a page, unless asked for another number. */
export const pageDefault = 50

/** Most accounts of a page. */
export const accountsPageMax = 200

/** Most changes of a page. */
export const changesPageMax = 1000

/** Most holds of a page. */
export const holdsPageMax = 200
