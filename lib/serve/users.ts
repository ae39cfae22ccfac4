// Who gets in: by a file of hashed passwords, or as the program says.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { CaptureError } from '../errors/errors.js';
import { Turns } from './turns.js';

/**
 * Says whether somebody gets in.
 * @param user as the client calls himself: anything, of up to 1024 bytes
 * @param password likewise
 * @param address of the client, in numbers
 */
export type Authenticate = (user: string, password: string, address: string) => boolean | Promise<boolean>;

/** The same for the daemon: `isGone` is whether the client is there no more, and needs no answer. */
export type LetsIn = (
  user: string,
  password: string,
  address: string,
  isGone: () => boolean,
) => boolean | Promise<boolean>;

/** Of a user and of a password, in bytes. */
export const MOST_WORD = 1024;

interface Hashed {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);
const HASH_BYTES = 32;
const COST = 1 << 15;
const BLOCK = 8;
/** What a line may ask for, in bytes: 128 * cost * blockSize. */
const MOST_MEMORY = 1 << 28;
/** Of other users: whoever may read it can try passwords at leisure. */
const OTHERS = 0o007;

/**
 * A line for the file of users of a daemon: `name:scrypt$…`, with a salt of its own.
 * @param user up to 255 characters, without colons, # and control characters
 * @param password of up to 1024 bytes
 * @throws CaptureError RINGTAP_BAD_OPTION for a name that a line cannot have
 * @example
 * console.log(await userLine('capture', 'correct horse battery staple'));
 */
export async function userLine(user: string, password: string): Promise<string> {
  if (typeof password === 'string' && Buffer.byteLength(password) > MOST_WORD) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `userLine(): a password is no longer than ${MOST_WORD} bytes`);
  }
  if (typeof user !== 'string' || typeof password !== 'string' || !/^[^:#\p{Cc}\p{Cs}]{1,255}$/u.test(user)) {
    throw new CaptureError(
      'RINGTAP_BAD_OPTION',
      'userLine(): a user is up to 255 characters without colons, # and control characters',
      {
        hint: 'Call it with a name and a password.',
      },
    );
  }
  const salt = randomBytes(16);
  const hash = await hashOf(password, { cost: COST, blockSize: BLOCK, parallelization: 1, salt });
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
  return `${user}:scrypt$${COST}$${BLOCK}$1$${text(salt)}$${text(hash)}`;
}

/** @throws CaptureError RINGTAP_FILE_OPEN, RINGTAP_BAD_OPTION for a line that is none, or a file that everybody reads */
export function usersIn(path: string): LetsIn {
  const users = new Map(readLines(path).map(({ user, hashed }) => [user, hashed]));
  const nobody: Hashed = {
    cost: COST,
    blockSize: BLOCK,
    parallelization: 1,
    salt: randomBytes(16),
    hash: randomBytes(32),
  };
  const turns = new Turns();
  return (user, password, address, isGone) => {
    // WHY also for nobody: how long it takes must not tell which users there are.
    const hashed = users.get(user) ?? nobody;
    const check = async () => timingSafeEqual(await hashOf(password, hashed), hashed.hash);
    return turns.take(address, check, isGone);
  };
}

function hashOf(password: string, { cost, blockSize, parallelization, salt }: Omit<Hashed, 'hash'>): Promise<Buffer> {
  const maxmem = 2 * MOST_MEMORY;
  return derive(password, salt, HASH_BYTES, { N: cost, r: blockSize, p: parallelization, maxmem });
}

function readLines(path: string): { user: string; hashed: Hashed }[] {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8');
    mode = statSync(path).mode;
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    // WHY without its cause: that has the path as it is, whatever is in it.
    throw new CaptureError('RINGTAP_FILE_OPEN', `users: ${what}`);
  }
  if ((mode & OTHERS) !== 0) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `users: ${path} can be read by everybody`, {
      hint: `chmod o= ${path}`,
    });
  }
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return [];
    const read = readLine(line.replace(/\r$/, ''));
    if (read !== undefined) return [read];
    throw new CaptureError('RINGTAP_BAD_OPTION', `users: line ${i + 1} of ${path} is no name:scrypt$N$r$p$salt$hash`, {
      hint: 'ringtap rpcapd --hash-password NAME makes one.',
    });
  });
}

function readLine(line: string): { user: string; hashed: Hashed } | undefined {
  const match = /^([^:]+):scrypt\$(\d{1,9})\$(\d{1,3})\$(\d{1,2})\$([\w+/]+)\$([\w+/]+)$/.exec(line);
  if (match === null) return undefined;
  const [cost, blockSize, parallelization] = [Number(match[2]), Number(match[3]), Number(match[4])];
  const [salt, hash] = [Buffer.from(match[5]!, 'base64'), Buffer.from(match[6]!, 'base64')];
  const isPower = cost > 1 && (cost & (cost - 1)) === 0;
  if (!isPower || blockSize < 1 || parallelization < 1 || parallelization > 16) return undefined;
  if (128 * cost * blockSize > MOST_MEMORY || hash.length !== HASH_BYTES || salt.length < 8) return undefined;
  return { user: match[1]!, hashed: { cost, blockSize, parallelization, salt, hash } };
}
