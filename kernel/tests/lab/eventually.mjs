//! Waiting, the only way this test does it: a condition is tried again until it holds. Nothing
//! here knows about browsers, so that the server and the page wait in the same way.

import { setTimeout as pause } from "node:timers/promises";

/** How long to leave the machine to the kernel between two looks at a condition. */
const BETWEEN_LOOKS_MS = 40;

/** Something that no further waiting can mend, such as a dialog that covers the notebook. */
export class Hopeless extends Error {}

/**
 * Calls `look` until it returns without throwing, and gives back what it returned. After `seconds`
 * the last error is thrown as it is: an assertion then still shows its difference.
 */
export async function eventually(seconds, look) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (error instanceof Hopeless || performance.now() > end) throw error;
    }
    await pause(BETWEEN_LOOKS_MS);
  }
}
