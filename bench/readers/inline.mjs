// node inline.mjs METHOD RULE: a bump in the wire until stdin ends.
import { openInline } from 'ringtap';
import { sayReady } from './work.mjs';

const [method, rule] = process.argv.slice(2);
const inline = await openInline(rule, { method });
sayReady();
process.stdin.resume().on('end', async () => {
  process.stderr.write(`${JSON.stringify(inline.stats().rules[0])}\n`);
  await inline.close();
});
