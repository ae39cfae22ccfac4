// Opening the sources that workers read.
import { totalmem } from 'node:os';
import { CaptureError } from '../errors/errors.js';
import type { MethodName } from '../generated/options.js';
import { addon, type NativeShares } from '../native/native.js';
import { type Followed, followWith } from '../plan/candidates.js';
import { checkPlatform, opened, requestOf } from '../plan/opening.js';
import { bad } from '../uri/options.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { schemaOf } from '../uri/uri.js';
import type { ParallelSettings } from './options.js';

/** What comes over a control channel that a single reader has. */
const ONE_READER: readonly MethodName[] = ['rpcap', 'tcp'];

export function openShares(request: Request, settings: ParallelSettings): Promise<Followed<NativeShares>> {
  return followWith(request, (method, found) => openOne(request, method, found, settings));
}

async function openOne(
  request: Request,
  method: MethodName,
  found: Settings,
  { workers, hash }: ParallelSettings,
): Promise<NativeShares> {
  const { uri } = request;
  checkPlatform(uri, method);
  const open = addon().openShares;
  if (ONE_READER.includes(method) || open === undefined) {
    const why = open === undefined ? 'packets are dealt out to workers on Linux only' : `${method} has one reader`;
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: openParallel(): ${why}`, {
      uri,
      backend: method,
      hint: 'Read it with open(), and hand on what you copy; or write a trace, and open that with file: in parallel.',
    });
  }
  checkSharing(request, method, found, workers);
  return opened(request.signal, (number) =>
    open({ ...requestOf(request, method, found), number, purpose: 'capture', shares: workers, hash }),
  );
}

function checkSharing({ uri }: Request, method: MethodName, { values }: Settings, workers: number): void {
  if (schemaOf(method)?.shares !== true) return;
  if (values.share !== undefined && values.share !== 0) {
    throw bad(
      { uri },
      'share',
      'is chosen by openParallel(): leave it out',
      'Processes of your own share packets by the option share of open().',
    );
  }
  const bytes = Number(values.bufferBytes ?? 0) * workers;
  const limit = Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY);
  if (bytes <= limit) return;
  const mib = (size: number) => `${Math.floor(size / 2 ** 20)} MiB`;
  throw new CaptureError(
    'RINGTAP_NO_MEMORY',
    `${uri}: ${workers} workers with a ring of ${mib(Number(values.bufferBytes))} each take ${mib(bytes)}, and there are ${mib(limit)}`,
    { uri, backend: method, hint: 'Lower bufferBytes, which each worker has, or take fewer workers.' },
  );
}
