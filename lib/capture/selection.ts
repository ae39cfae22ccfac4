import { types } from 'node:util';
import { show } from '../errors/printable.js';
import type { ErrorCode } from '../generated/errors.js';

/**
 * Which packets of a batch: indices, in the order that they are to be taken in and as often as they stand there, or a
 * mask with one byte for each packet, of which those that are not 0 are taken.
 */
export type Selection = Uint32Array | readonly number[] | Uint8Array;

/** What is wrong with a selection. */
export class SelectionFault {
  constructor(
    readonly message: string,
    readonly code: ErrorCode = 'RINGTAP_BAD_OPTION',
  ) {}
}

/**
 * A selection as the addon takes it, which looks at its elements: a list of numbers is read here, once.
 * @param length packets in the batch
 */
export function selectionOf(select: unknown, length: number): Uint32Array | Uint8Array | undefined | SelectionFault {
  if (select === undefined || types.isUint32Array(select) || types.isUint8Array(select)) return select;
  try {
    if (Array.isArray(select)) return fromList(select, length);
  } catch {
    return new SelectionFault('select cannot be read'); // it throws when it is looked at
  }
  return new SelectionFault(
    'select must be indices (Uint32Array or number[]) or a mask (Uint8Array with a byte for each packet)',
  );
}

function fromList(list: readonly unknown[], length: number): Uint32Array | SelectionFault {
  const indices: number[] = [];
  const count = list.length;
  for (let i = 0; i < count; i++) {
    const index = list[i];
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= length) {
      if (typeof index !== 'number') {
        return new SelectionFault(`select[${i}] is ${show(index)}, no index; a mask is a Uint8Array`);
      }
      return new SelectionFault(`select[${i}] is ${index}, but the batch has ${length} packets`);
    }
    indices.push(index);
  }
  return Uint32Array.from(indices);
}
