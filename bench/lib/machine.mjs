// What the figures were measured on, and what else the machine was doing.
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

export function machine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    v8: process.versions.v8,
  };
}

export function machineLine({ cpu, cores, memoryGiB, kernel, node }) {
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB · Linux ${kernel} · Node ${node}`;
}

/** Processor time by kind, all cores, in ticks. */
function ticks() {
  const [user, nice, system, idle, iowait, irq, softirq, steal] = /^cpu\s+(.*)$/m
    .exec(readFileSync('/proc/stat', 'utf8'))[1]
    .split(' ')
    .map(Number);
  return { softirq, steal, idle: idle + iowait, total: user + nice + system + idle + iowait + irq + softirq + steal };
}

const TICK_NS = 1e7; // USER_HZ is 100 everywhere that Node runs on

/** Starts counting; call the result for the ns that all cores have spent in soft interrupts since, to the tick. */
export function countSoftirq() {
  const before = ticks().softirq;
  return () => (ticks().softirq - before) * TICK_NS;
}

/** Starts counting; call the result for the ns that all cores have been busy since, with whatever, to the tick. */
export function countBusy() {
  const busy = () => {
    const { total, idle, steal } = ticks();
    return total - idle - steal;
  };
  const before = busy();
  return () => (busy() - before) * TICK_NS;
}

const BUSY_LOAD = 0.5; // runnable processes that are not ours
const MUCH_STEAL = 0.01;

/** Watches the machine from its making on. */
export class Watch {
  #start = ticks();
  #load = loadavg()[0];

  /** { loadBefore, stealShare, warnings } */
  result() {
    const now = ticks();
    const stealShare = (now.steal - this.#start.steal) / Math.max(1, now.total - this.#start.total);
    const warnings = [];
    if (this.#load > BUSY_LOAD) {
      warnings.push(
        `The machine was not idle: load ${this.#load.toFixed(2)} before the start. Trust ratios, not figures.`,
      );
    }
    if (stealShare > MUCH_STEAL) {
      warnings.push(`The hypervisor took ${(stealShare * 100).toFixed(1)} % of the processors' time (steal).`);
    }
    return { loadBefore: this.#load, stealShare, warnings };
  }
}
