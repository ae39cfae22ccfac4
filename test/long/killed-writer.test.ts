// A writer is killed at 200 random moments, for each format and compression: nothing that is older than a second is lost.
import { availableParallelism } from 'node:os';
import { test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { KILLED, killOne } from '../support/killed.js';

const MOMENTS = 200;
const path = temporaryFolder();

test.each(KILLED)(
  `%s (%s) has all but its last second after SIGKILL at ${MOMENTS} moments`,
  async (name, compress) => {
    let left = MOMENTS;
    await Promise.all(
      Array.from({ length: 2 * availableParallelism() }, async () => {
        while (left-- > 0) await killOne(path(`${left}-${name}`), compress);
      }),
    );
  },
  1_800_000,
);
