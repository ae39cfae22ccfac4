// Where Wireshark looks for such programs, and ours there.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../errors.js';
import { launcher, MARK } from './launcher.js';

/** What it is called there. */
const NAME = 'ringtap';

/** @param folder the user's own where none is given @returns the path */
export async function install(folder: string | undefined): Promise<string> {
  const path = join(folder ?? personalFolder(), NAME);
  refuseForeign(path);
  const script = await launcher();
  mkdirSync(join(path, '..'), { recursive: true });
  // Wireshark may start at any moment: the file is the old one or the new one.
  const part = `${path}.${process.pid}`;
  writeFileSync(part, script, { mode: 0o755, flag: 'wx' });
  renameSync(part, path);
  return path;
}

/** @returns the path, or nothing where there was none */
export function uninstall(folder: string | undefined): string | undefined {
  const path = join(folder ?? personalFolder(), NAME);
  if (!existsSync(path)) return undefined;
  refuseForeign(path);
  rmSync(path);
  return path;
}

function refuseForeign(path: string): void {
  if (existsSync(path) && !readFileSync(path, 'utf8').includes(MARK)) {
    throw new UsageError(
      `${path} is there, and is not ringtap’s`,
      'Move it away, or name another folder: --folder DIR',
    );
  }
}

/** Newer versions say where it is. Older ones, up to 4.0, have it beside their preferences and do not say so. */
function personalFolder(): string {
  for (const program of ['tshark', 'wireshark']) {
    const { stdout } = spawnSync(program, ['-G', 'folders'], { encoding: 'utf8', timeout: 20_000 });
    const told = /^Personal Extcap path:\s*(\S.*)$/m.exec(stdout ?? '')?.[1];
    if (told !== undefined) return told;
    if (stdout) break;
  }
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'wireshark', 'extcap');
}
