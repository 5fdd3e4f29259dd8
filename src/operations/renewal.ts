/** How long before the end of a certificate or a password it is told. */

/** They are renewed by people, and those want three weeks; in milliseconds. */
export const renewalMs = 21 * 86_400_000;
