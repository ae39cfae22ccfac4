// npm run bench: runs the benchmark suite in a lab (scripts/lab.mjs) where this host can make one, in a session and
// scheduling group of its own. With --uri it is this host's own network that is measured.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { labCommand, labSupport } from '../scripts/lab.mjs';

const argv = [process.execPath, fileURLToPath(new URL('suite.mjs', import.meta.url)), ...process.argv.slice(2)];
const staysHere = ['--help', '--uri'].some((flag) => argv.some((arg) => arg === flag || arg.startsWith(`${flag}=`)));
const inLab = process.env.RINGTAP_LAB !== undefined || staysHere;
const { way } = labSupport();
const { file, args, env } =
  way === undefined || inLab
    ? { file: argv[0], args: argv.slice(1), env: process.env }
    : labCommand(argv, { gro: true });
if (way === undefined) console.error('no lab on this host: the rows with live traffic are left out');

// detached: a new session, so that the scheduler gives it a group of its own, whose priority it may raise.
const child = spawn(file, args, { env, stdio: 'inherit', detached: true });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});
