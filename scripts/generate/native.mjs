// native/generated/: the error codes and the list of backends as C++ includes them; lib/generated/errors.ts.
import { backends, errors, note } from './tables.mjs';

const camel = (code) => `k${code.toLowerCase().replace(/(^|_)(.)/g, (_, __, letter) => letter.toUpperCase())}`;
const quote = (text) => JSON.stringify(text);
/** Those that have native code of their own. */
const natives = backends.filter(({ native }) => native === undefined);
const ifBuilt = (of) =>
  `// ${note}\n${natives.map((b) => `#ifdef RINGTAP_HAS_${b.name}\n${of(b)}\n#endif`).join('\n')}\n`;

export const errorCodes = `// ${note}\n${errors
  .map((e) => `RINGTAP_ERROR(${camel(e.code)}, "RINGTAP_${e.code}", ${quote(e.meaning)}, ${quote(e.hint)})`)
  .join('\n')}\n`;

/** Not every errno exists on every platform. */
export const errnoHints = `// ${note}\n${errors
  .flatMap(({ code, byErrno = {} }) => Object.entries(byErrno).map(([errno, hint]) => ({ code, errno, hint })))
  .map(
    ({ code, errno, hint }) => `#ifdef ${errno}\nRINGTAP_ERRNO_HINT(${camel(code)}, ${errno}, ${quote(hint)})\n#endif`,
  )
  .join('\n')}\n`;

export const backendHeaders = ifBuilt(({ name }) => `#include "backends/${name}/${name}.h"`);
export const backendTable = ifBuilt(
  ({ name, shares }) => `RINGTAP_${shares === true ? 'SHARING_' : ''}BACKEND(${name})`,
);

export const errorTypes = `// ${note}

/** Every code a {@link CaptureError} can carry. docs/errors.md explains each. */
export type ErrorCode =
${errors.map((e) => `  | 'RINGTAP_${e.code}'`).join('\n')};

/** What a code means, and the hint it carries when an error has none of its own. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, { readonly meaning: string; readonly hint: string }>> = {
${errors.map((e) => `  RINGTAP_${e.code}: {\n    meaning: ${quote(e.meaning)},\n    hint: ${quote(e.hint)},\n  },`).join('\n')}
};
`;
