// The second terminal of a forwarder: a Unix socket, on which each line is a question, and each answer a line of JSON.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { formatRule, type Inline, parseRules } from '../index.js';
import { UsageError } from './errors.js';

/** What may be asked. */
export const WORDS = ['list', 'counters', 'add', 'remove'] as const;
/** A rule in one line is never longer. */
const MOST_LINE = 4096;
const MOST_CONNECTIONS = 16;
/** Longer than a change of rules takes that asks on the links. */
const PATIENCE_MS = 5000;

interface Answer {
  ok: boolean;
  [name: string]: unknown;
}

async function answer(inline: Inline, line: string): Promise<Answer> {
  const [, word = '', rest = ''] = /^(\w*)\s*(.*)$/.exec(line.trim()) ?? [];
  switch (word) {
    case 'list':
      return { ok: true, rules: inline.rules.list().map(formatRule) };
    case 'counters':
      return { ok: true, ...inline.stats() };
    case 'add': {
      const [rule, ...others] = parseRules(rest, 'add');
      if (rule === undefined || others.length > 0) throw new UsageError('add: expected one rule');
      await inline.rules.add(rule);
      return { ok: true };
    }
    case 'remove':
      await inline.rules.remove(rest.trim());
      return { ok: true };
    default:
      throw new UsageError(`"${word}" is none of ${WORDS.join(', ')}`);
  }
}

function refusal(error: unknown): Answer {
  if (error instanceof CaptureError) return { ok: false, code: error.code, message: error.message, hint: error.hint };
  return { ok: false, message: error instanceof Error ? error.message : String(error) };
}

/** One question after the other. */
async function converse(inline: Inline, socket: Socket): Promise<void> {
  socket.on('error', () => {});
  let waiting = '';
  socket.setEncoding('utf8');
  for await (const text of socket) {
    const lines = (waiting + text).split('\n');
    waiting = lines.pop()!;
    for (const line of lines) {
      const reply = await answer(inline, line).catch(refusal);
      socket.write(`${JSON.stringify(reply)}\n`);
    }
    if (waiting.length > MOST_LINE) return void socket.destroy();
  }
  socket.end();
}

/**
 * Listens there, for whoever may open the socket: this user. A socket that nobody listens at is replaced.
 * @returns how to end it, and all who are connected
 */
export async function listenAt(path: string, inline: Inline): Promise<() => void> {
  await clear(path);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.once('close', () => sockets.delete(socket)));
    void converse(inline, socket).catch(() => socket.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(path, resolve);
    });
    chmodSync(path, 0o600);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_WRITE', `--control: ${what}`, { cause });
  } finally {
    process.umask(before);
  }
  return () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    rmSync(path, { force: true });
  };
}

/** Takes away the socket of a forwarder that was killed, and nothing else. */
async function clear(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new CaptureError('RINGTAP_FILE_WRITE', `--control: ${path} exists, and is no socket`, {
      hint: 'Name a path where nothing is yet.',
    });
  }
  const isHeard = await new Promise<boolean>((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy();
      resolve(true);
    }).on('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
  if (isHeard) throw new CaptureError('RINGTAP_BUSY', `--control: another ringtap listens at ${path}`);
  rmSync(path, { force: true });
}

/** Asks a forwarder that runs. */
export async function ask(path: string, words: readonly string[]): Promise<Record<string, unknown>> {
  const socket = createConnection(path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_OPEN', `--control: ${what}`, {
      cause,
      hint: 'Start the forwarder first: ringtap inline RULES --control SOCKET',
    });
  }
  const lost = (what: string) =>
    new CaptureError('RINGTAP_REMOTE_LOST', `--control: whoever listens at ${path} ${what}`);
  socket.setEncoding('utf8').end(`${words.join(' ')}\n`);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(lost('does not answer')));
  let line = '';
  for await (const text of socket) line += text;
  if (!line.endsWith('\n')) throw lost('has left');
  const { ok, code, message, hint, ...rest } = JSON.parse(line) as Answer;
  if (ok) return rest;
  throw new CaptureError((code ?? 'RINGTAP_BAD_OPTION') as 'RINGTAP_BAD_OPTION', String(message), {
    ...(typeof hint === 'string' ? { hint } : {}),
  });
}
