import type { Event } from '../generated/events.js';

const LINE_END = 10;

/** Lines of JSON as they lay in native memory. */
export interface EventLines {
  readonly lines: number;
  readonly text: Uint8Array;
}

/**
 * Events that have been taken from a meter, in the order in which they were made. Each is made into an object when a loop comes
 * to it; loops may be several.
 * @example
 * const meter = new FlowMeter({ protocols: true });
 * meter.add(batch);
 * const events = meter.events();
 * console.log(`${events.length} events`);
 * for (const event of events) console.log(event.event_type);
 */
export class EventBatch implements Iterable<Event> {
  /** Number of events in it. */
  readonly length: number;
  readonly #parts: readonly EventLines[];

  /** @internal Only a meter makes them. */
  constructor(parts: readonly EventLines[]) {
    this.#parts = parts;
    this.length = parts.reduce((sum, { lines }) => sum + lines, 0);
  }

  /**
   * Each event as an object.
   * @throws nothing
   */
  *[Symbol.iterator](): IterableIterator<Event> {
    const decoder = new TextDecoder();
    for (const { text } of this.#parts) {
      for (let from = 0; from < text.length; ) {
        const end = text.indexOf(LINE_END, from);
        yield JSON.parse(decoder.decode(text.subarray(from, end))) as Event;
        from = end + 1;
      }
    }
  }

  /**
   * All of them as EVE, a line of JSON each, as they were made natively: UTF-8, the caller's own.
   * @throws nothing
   * @example
   * const meter = new FlowMeter({ protocols: true });
   * meter.add(batch);
   * console.log(Buffer.from(meter.events().toJsonLines()).toString());
   */
  toJsonLines(): Uint8Array {
    const lines = new Uint8Array(this.#parts.reduce((sum, { text }) => sum + text.length, 0));
    let at = 0;
    for (const { text } of this.#parts) {
      lines.set(text, at);
      at += text.length;
    }
    return lines;
  }
}
