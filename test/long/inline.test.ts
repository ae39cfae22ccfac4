// A bump in the wire under a long transfer.
import { openInline } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bump, closeBump, makeBump, OUT, offload, RULE, transfer } from '../support/bump.js';
import { lab } from '../support/lab.js';

const BYTES = 100 * 2 ** 20;

describe.skipIf(lab === null)('inline', () => {
  let bump: Bump;
  beforeAll(async () => {
    bump = await makeBump();
  });
  afterAll(() => closeBump(bump));

  test.each(['on', 'off'] as const)(
    '100 MiB arrive as they were sent, with checksum offload %s',
    async (state) => {
      offload(bump, state);
      await using inline = await openInline(RULE);
      const { seen, sent } = await transfer(bump, BYTES);
      expect(sent).toMatch(new RegExp(`^${BYTES} [0-9a-f]{64}$`));
      expect(seen).toBe(`${OUT} ${sent}`);
      const [web] = inline.stats().rules;
      for (const way of [web!.toServer, web!.toClient])
        expect(way.ingress).toBe(way.egress + way.dropped + way.waiting);
    },
    120_000,
  );
});
