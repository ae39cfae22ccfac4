import { createRequire } from 'node:module';
import { type Command, Option } from 'commander';
import { CaptureError, devices, type ProbeResult, probe } from '../index.js';
import { EXIT } from './errors.js';
import { FIXES, fixDpdk } from './fix.js';
import { addHelp } from './help.js';
import { type Check, checkHost } from './host.js';
import { printJson, printText } from './output.js';
import { columns, entry } from './text.js';

interface Diagnosis {
  /** Whether any device can be captured from. */
  readonly canCapture: boolean;
  readonly checks: readonly Check[];
}

export function addDoctor(program: Command): void {
  addHelp(
    program
      .command('doctor')
      .description('say what this host can capture with, what is missing, and how to mend it')
      .option('--json', 'print JSON')
      .addOption(new Option('--fix <what>', 'build the DPDK module for the DPDK of this host').choices(FIXES)),
    {
      examples: [
        'ringtap doctor',
        ['ringtap doctor --fix dpdk', 'builds ringtap from source: needs libdpdk-dev, cmake, make, g++, and minutes'],
        "ringtap doctor --json | jq -r '.checks[] | select(.hint) | .hint'",
      ],
      notes: ['Exit status 1 where no device can be captured from.'],
    },
  ).action(async ({ json, fix }: { json?: true; fix?: (typeof FIXES)[number] }) => {
    if (fix !== undefined) return fixDpdk();
    const diagnosis = await diagnose();
    await (json ? printJson(diagnosis, 2) : printText(describe(diagnosis)));
    if (!diagnosis.canCapture) process.exitCode = EXIT.failed;
  });
}

async function diagnose(): Promise<Diagnosis> {
  const checks = checkHost();
  try {
    const probes = await probe();
    const uris = (await devices()).flatMap((device) => device.uris);
    checks.push({ name: 'addon', status: 'ok', found: describeAddon() }, ...probes.map(checkBackend));
    const canCapture = probes.some(
      ({ backend, available }) => available && uris.some((uri) => uri.startsWith(`${backend}:`)),
    );
    return { canCapture, checks };
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    checks.push({ name: 'addon', status: 'fail', found: error.message, hint: error.hint });
    return { canCapture: false, checks };
  }
}

/** Which binary was loaded: require() knows those that it loaded, whichever way the library found it. */
function describeAddon(): string {
  const loaded = Object.keys(createRequire(import.meta.url).cache).find((path) => /ringtap[^/\\]*\.node$/.test(path));
  if (loaded === undefined) return 'loaded';
  return `${/[/\\]prebuilds[/\\]/.test(loaded) ? 'prebuilt' : 'built on this host'}: ${loaded}`;
}

function checkBackend({ backend, title, available, detail, reason, hint }: ProbeResult): Check {
  const name = `${backend}:`;
  if (available) return { name, status: 'ok', found: detail === '' ? title : `${title}, ${detail}` };
  const found = `${title}: ${reason ?? 'not available'}`;
  return { name, status: 'warn', found, ...(hint === undefined ? {} : { hint }) };
}

/** As wide as the terminal; commands, which are there to be copied, are not broken. */
function describe({ canCapture, checks }: Diagnosis): string {
  const width = process.stdout.isTTY || process.env.COLUMNS ? columns() : Number.POSITIVE_INFINITY;
  const indent = 10 + Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, status, found, hint }) => {
    const line = `${entry(`${status.padEnd(8)}${name}`, indent, found, width)}\n`;
    return hint === undefined ? line : `${line}${' '.repeat(10)}hint: ${hint}\n`;
  });
  return `${lines.join('')}\n${canCapture ? 'This host can capture.' : 'No device can be captured from here.'}\n`;
}
