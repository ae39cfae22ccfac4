/**
 * Why records did not get there: the kernel refused the datagram; the connection ended while they were on their way; there was
 * no room in the queue (`overflow: 'drop'`), or no time for it at {@link FlowExporter.close}; the file could not be written.
 */
export type NotSentCause = 'refused' | 'connection' | 'queue' | 'closed' | 'file';

/** What became of the records so far. It balances: `records` = `sent` + `waiting` + all of `notSent`. */
export interface ExportStats {
  /** Number of flow records that were given to `write()`. */
  readonly flows: number;
  /** Records that were made of them, a number: two of a flow with answers where each direction is one (NetFlow v9). */
  readonly records: number;
  /** Number of records that the kernel has taken, for the network or the file. */
  readonly sent: number;
  /** Number of records that wait. */
  readonly waiting: number;
  /** Number of records that did not get there, by cause. */
  readonly notSent: Readonly<Record<NotSentCause, number>>;
  /** Number of messages that were sent; of files that have none, of pieces that were written. */
  readonly messages: number;
  /** Bytes that were sent or written. */
  readonly bytes: number;
  /** Number of times that the collector's host said that nobody listens there: UDP. */
  readonly refusals: number;
  /** Number of connections that were made: TCP and TLS. */
  readonly connections: number;
}

/** Counts that go up. */
export class Counts {
  flows = 0;
  records = 0;
  sent = 0;
  messages = 0;
  bytes = 0;
  refusals = 0;
  connections = 0;
  readonly notSent: Record<NotSentCause, number> = { refused: 0, connection: 0, queue: 0, closed: 0, file: 0 };

  get lost(): number {
    return Object.values(this.notSent).reduce((sum, count) => sum + count, 0);
  }

  told(): ExportStats {
    const { flows, records, sent, messages, bytes, refusals, connections, lost } = this;
    const notSent = { ...this.notSent };
    return { flows, records, sent, waiting: records - sent - lost, notSent, messages, bytes, refusals, connections };
  }
}
