// V8 optimises a loop after some thousand batches, which live traffic takes seconds to bring, and compiles it anew when
// something comes up that it has not seen. So a reader first runs on packets in memory.
import { open } from 'ringtap';

const FRAMES = 16384; // of 64 bytes, as many as synth: has by default
const PORTION = 512;

/**
 * `read(source, until)` reads until it has had so many packets. They come one by one, in number as ringtap-pktgen's, and
 * sometimes they have to be waited for.
 */
export async function rehearse(read) {
  const source = await open(`synth:?batchSize=1&rate=2000000&count=${2 * FRAMES}`);
  for (let number = 0; number < FRAMES; ) {
    const batch = source.tryNext();
    if (batch !== null) batch.view.setUint32(batch.offset[0] + 46, number++);
  }
  for (let until = PORTION; until <= FRAMES; until += PORTION) await read(source, until);
  // Not closed: V8 checks every access for detached memory once there has been some.
}
