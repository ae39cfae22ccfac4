// What every reader does with a packet; native/peers/peer.h does the same in C++.

/** Reads the Ethernet type and both IPv4 addresses of each packet, and sums the captured lengths. */
export class Work {
  packets = 0;
  bytes = 0;
  /** Shows that everybody read the same. */
  sum = 0;

  look(batch) {
    const { length, offset, caplen, view } = batch;
    let bytes = 0;
    let sum = this.sum;
    for (let i = 0; i < length; i++) {
      const at = offset[i];
      if (view.getUint16(at + 12) === 0x0800) sum = (sum + (view.getUint32(at + 26) ^ view.getUint32(at + 30))) | 0;
      bytes += caplen[i];
    }
    this.sum = sum;
    this.bytes += bytes;
    this.packets += length;
  }
}

/** The same, and the numbers of frames that ringtap-pktgen made: UDP over IPv4, no VLAN. */
export class NumberedWork {
  packets = 0;
  bytes = 0;
  sum = 0;

  constructor(numbers) {
    this.numbers = numbers;
  }

  look(batch) {
    const { length, offset, caplen, view } = batch;
    const { numbers } = this;
    let { sum } = this;
    let bytes = 0;
    for (let i = 0; i < length; i++) {
      const at = offset[i];
      if (view.getUint16(at + 12) === 0x0800) sum = (sum + (view.getUint32(at + 26) ^ view.getUint32(at + 30))) | 0;
      bytes += caplen[i];
      const number = view.getUint32(at + 46); // the lower half
      if (number === numbers.next) numbers.next++;
      else numbers.surprise(number);
    }
    this.sum = sum;
    this.bytes += bytes;
    this.packets += length;
  }
}

/** CPU and time used since it was made, in µs, and the most memory that was resident. */
export class Meter {
  #cpu = process.cpuUsage();
  #start = performance.now();

  result({ packets, bytes, sum }, more = {}) {
    const wall = (performance.now() - this.#start) * 1000;
    const { user, system } = process.cpuUsage(this.#cpu);
    return { packets, bytes, sum: sum >>> 0, user, system, wall, rssKiB: process.resourceUsage().maxRSS, ...more };
  }
}

export const sayReady = () => process.stderr.write('READY\n');
export const print = (result) => process.stdout.write(`${JSON.stringify(result)}\n`);
