import { CaptureError, wrapNative } from '../errors/errors.js';
import type { ErrorCode } from '../generated/errors.js';
import type { BackendName } from '../generated/options.js';

/** The errors of one capture: each says which one it is. */
export class Faults {
  readonly #uri: string;
  readonly #backend: BackendName;

  constructor(uri: string, backend: BackendName) {
    this.#uri = uri;
    this.#backend = backend;
  }

  make(code: ErrorCode, what: string, hint?: string): CaptureError {
    return new CaptureError(code, `${this.#uri}: ${what}`, { uri: this.#uri, backend: this.#backend, hint });
  }

  /** What the addon says, as this capture's own error. */
  wrap(error: unknown): unknown {
    return wrapNative(error, this.#backend, this.#uri);
  }
}
