import { ERROR_TABLE, type ErrorCode } from '../../generated/errors.js';
import { UsageError } from '../errors.js';
import { entry, paragraph } from '../text.js';

const PREFIX = 'RINGTAP_';

export function helpErrors(code: string | undefined): string {
  return code === undefined ? all() : one(code);
}

function all(): string {
  return [
    paragraph(
      'The library’s errors have a code; the command shows the message and the hint. `ringtap help errors CODE` is more of one.',
    ),
    '',
    ...Object.entries(ERROR_TABLE).map(([code, { meaning }]) => entry(`  ${code.slice(PREFIX.length)}`, 20, meaning)),
    '',
  ].join('\n');
}

function one(asked: string): string {
  const upper = asked.toUpperCase();
  const code = upper.startsWith(PREFIX) ? upper : `${PREFIX}${upper}`;
  if (!Object.hasOwn(ERROR_TABLE, code)) {
    throw new UsageError(`there is no error code "${asked}"`, '`ringtap help errors` lists them.');
  }
  const { meaning, hint } = ERROR_TABLE[code as ErrorCode];
  return `${code}\n\n${paragraph(meaning)}\n\n${entry('hint:', 6, hint)}\n`;
}
