// `--compress`: how a trace is compressed, where its name does not say so, or not how much.
import { type Command, InvalidArgumentError } from 'commander';

/** As of the tools themselves. */
const MOST_LEVEL: Readonly<Record<string, number>> = { zstd: 19, lz4: 12, gzip: 9 };

/** What commander makes of the option. */
export interface CompressFlags {
  compress?: string;
}

export function addCompress(command: Command): Command {
  return command.option(
    '--compress <method>',
    'zstd, lz4 or gzip, with a level as zstd:3, or none; otherwise as the name ends: .zst, .lz4, .gz',
    parseMethod,
  );
}

function parseMethod(text: string): string {
  const [, method, level = '1'] = /^(zstd|lz4|gzip)(?::(\d+))?$/.exec(text) ?? [];
  const most = MOST_LEVEL[method ?? ''] ?? 0;
  if (text === 'none' || (Number(level) >= 1 && Number(level) <= most)) return text;
  throw new InvalidArgumentError('Expected zstd:1 to zstd:19, lz4:1 to lz4:12, gzip:1 to gzip:9, or none.');
}
