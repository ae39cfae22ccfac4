// Nothing in a test waits for ever, but long: how busy the machine is, is not what is tested.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export const PATIENCE_MS = 40_000;

/** What the promise settles to, or a failure that names what was awaited in vain. */
export async function within<T>(promise: PromiseLike<T>, what: string, ms = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: still waiting after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves once `condition` holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: still not so after ${ms} ms`);
    await sleep(5);
  }
}

/** Resolves once a process waits for something and has done all that it can do until then. */
export async function asleep(pid: number): Promise<void> {
  let before = '';
  let alike = 0;
  await until(() => {
    const [state, ...figures] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    const now = [state, figures[10], figures[11]].join(); // and the CPU time it has used
    alike = state === 'S' && now === before ? alike + 1 : 0;
    before = now;
    return alike >= 30;
  }, `process ${pid} to wait`);
}

/** Resolves once a packet socket of a process takes packets. */
export async function capturing(pid: number): Promise<void> {
  const target = (path: string) => {
    try {
      return readlinkSync(path);
    } catch {
      return ''; // closed meanwhile
    }
  };
  await until(() => {
    const own = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => target(`/proc/${pid}/fd/${fd}`)));
    // sk RefCnt Type Proto Iface Running Rmem User Inode; bound to nothing, its protocol is 0.
    const sockets = readFileSync(`/proc/${pid}/net/packet`, 'latin1').trim().split('\n').slice(1);
    return sockets.some((line) => {
      const [, , , protocol, , running, , , inode] = line.trim().split(/\s+/);
      return running === '1' && protocol !== '0000' && own.has(`socket:[${inode}]`);
    });
  }, `process ${pid} to capture`);
}

/** The least of up to five figures, for a promise such as "at once": other processes can spoil some attempts, not all. */
export async function best(limit: number, attempt: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5 && least >= limit; i++) least = Math.min(least, await attempt());
  return least;
}
