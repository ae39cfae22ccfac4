// node listen.mjs PORT DAEMONS: takes a capture of each daemon that connects, and reads all of them until a line comes on
// stdin; then it says what came: { packets, user, system, wall, missing, rssKiB }.
import { once } from 'node:events';
import { memoryUsage, stdin } from 'node:process';
import { listen } from 'ringtap';
import { Meter, print, sayReady, Work } from './work.mjs';

const [port, daemons] = process.argv.slice(2).map(Number);
const work = new Work();
const captures = [];
const listener = await listen(`rpcap://127.0.0.1:${port}?transport=udp`, { mostConnections: daemons + 10 });
sayReady();

async function read(capture) {
  for await (const batch of capture) work.look(batch);
}
(async () => {
  for await (const capture of listener) {
    captures.push(capture);
    read(capture).catch(() => {});
    if (captures.length === daemons) print({ captures: captures.length });
  }
})();
await once(stdin, 'data'); // they begin to send
const meter = new Meter();
await once(stdin, 'data'); // they have sent
const missing = captures.reduce((sum, capture) => sum + capture.stats().dropped, 0);
print({ ...meter.result(work), missing, rssKiB: Math.round(memoryUsage().rss / 1024) });
process.exit(0);
