// Readers, peers and generators: pinned processes that say READY on stderr and print JSON lines.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { root } from '../../scripts/files.mjs';

/** The sender's core takes the softirqs of a veth; the reader has the other one. */
export const SENDER_CORE = 0;
export const READER_CORE = availableParallelism() > 1 ? 1 : 0;

const running = new Set();

/** A program of bench/native, or undefined where it was not built. */
export function program(name) {
  const path = join(root, 'build/addon/bin', name);
  return existsSync(path) ? path : undefined;
}

/** The command line of a reader in bench/readers. */
export function reader(name, ...args) {
  return [process.execPath, '--expose-gc', fileURLToPath(new URL(`../readers/${name}.mjs`, import.meta.url)), ...args];
}

/** A command as it is read best. */
const shown = (command) => command.join(' ').replaceAll(`${root}/`, '').replace(process.execPath, 'node');

/** A pinned process. */
export class Pinned {
  #child;
  #lines = [];
  #wanted = [];
  #complaints = '';
  #closed;
  #failure;
  ready;

  constructor(core, command, env = {}) {
    // pdeathsig: it must not outlive the suite, whatever becomes of that.
    const argv = ['--pdeathsig', 'KILL', '--', 'taskset', '-c', String(core), ...command.map(String)];
    this.#child = spawn('setpriv', argv, { stdio: 'pipe', cwd: root, env: { ...process.env, ...env } });
    running.add(this);
    this.#child.stdin.on('error', () => {}); // it may have ended already; its exit code says why
    this.ready = new Promise((resolve) => {
      createInterface({ input: this.#child.stderr }).on('line', (line) => {
        if (line === 'READY') resolve();
        else this.#complaints += `${line}\n`;
      });
      this.#child.on('close', resolve);
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#hand();
    });
    this.#closed = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        running.delete(this);
        const error = new Error(`${shown(command)}: ended (${code ?? signal}) without a result\n${this.#complaints}`);
        this.#failure = error;
        for (const { reject } of this.#wanted) reject(error);
        resolve();
      });
    });
  }

  /** The next JSON line. */
  result() {
    if (this.#failure !== undefined && this.#lines.length === 0) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#wanted.push({ resolve, reject });
      this.#hand();
    });
  }

  #hand() {
    while (this.#lines.length > 0 && this.#wanted.length > 0) {
      const line = this.#lines.shift();
      const { resolve, reject } = this.#wanted.shift();
      try {
        resolve(JSON.parse(line));
      } catch {
        reject(new Error(`expected a line of JSON, got: ${line}`));
      }
    }
  }

  /** Sends a line. */
  tell(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Sends a line, and gives the JSON line that answers it. */
  ask(line) {
    this.tell(line);
    return this.result();
  }

  /** Tells it that no more lines come, and waits for its end. */
  end() {
    this.#child.stdin.end();
    return this.#closed;
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}

/** Ends what still runs; for a crash or Ctrl-C. */
export function killAll() {
  for (const process of running) process.kill();
}

/** Runs a reader to its end: its result. */
export async function runReader(command) {
  const process = new Pinned(READER_CORE, command);
  await process.ready;
  const result = await process.result();
  await process.end();
  return result;
}

/** User and system time of a command, what it starts included. */
export function cpuSeconds(command, cwd) {
  const timed = 'TIMEFORMAT="%3U %3S"; { time "$@" > /dev/null 2>&1; } 2>&1';
  const { stdout, status } = spawnSync(
    'taskset',
    ['-c', String(READER_CORE), 'bash', '-c', timed, 'bash', ...command],
    {
      cwd,
      encoding: 'utf8',
    },
  );
  const [user, system] = stdout.trim().split(' ').map(Number);
  if (status !== 0 || !(user >= 0)) throw new Error(`${command.slice(0, 4).join(' ')}: exit status ${status}`);
  return user + system;
}
