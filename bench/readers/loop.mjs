// node loop.mjs SECONDS [URI]: how late a 10 ms timer is while a capture is read as fast as it goes; without a URI,
// while nothing is done: what the machine itself makes of a timer.
import { setTimeout } from 'node:timers/promises';
import { open } from 'ringtap';
import { Lateness } from '../lib/lateness.mjs';
import { Meter, print, sayReady, Work } from './work.mjs';

const [seconds, uri] = process.argv.slice(2);
const lateness = new Lateness();
const work = new Work();
sayReady();
const capture = uri === undefined ? undefined : await open(uri);
const meter = new Meter();
lateness.start();
const end = setTimeout(Number(seconds) * 1000).then(() => capture?.close());
if (capture !== undefined) for await (const batch of capture) work.look(batch);
await end;
print(meter.result(work, { lateness: lateness.result() }));
