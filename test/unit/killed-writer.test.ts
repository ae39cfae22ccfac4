// What a writer has taken a second before it is killed is in its file. test/long has 200 moments of each.
import { test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { KILLED, killOne } from '../support/killed.js';

const path = temporaryFolder();

test.each(KILLED)('%s (%s) has all but its last second after SIGKILL', async (name, compress) => {
  await Promise.all([0, 1].map((i) => killOne(path(`${i}-${name}`), compress)));
});
