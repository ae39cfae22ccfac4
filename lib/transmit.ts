import { CaptureError } from './errors.js';
import { parseUri } from './uri.js';

/** Sends packets through a capture method. */
export interface Transmitter extends AsyncDisposable {
  /** Queues one frame, copied; false when there is no room: flush and try again. */
  send(frame: Uint8Array): boolean;
  /** Hands queued frames to the kernel or NIC. Resolves when they are on their way. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the sending side of a capture method, without a capture.
 * @throws CaptureError RINGTAP_UNSUPPORTED: no backend of this version can send
 */
export async function openTransmitter(uri: string): Promise<Transmitter> {
  const { scheme } = parseUri(uri);
  throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: ${scheme} cannot send packets in this version`, {
    uri,
    hint: 'No capture method of this version sends yet.',
  });
}
