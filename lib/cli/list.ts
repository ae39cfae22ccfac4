import Table from 'cli-table3';
import type { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { type Device, devices } from '../index.js';
import { printJson, printText } from './output.js';

export function addList(program: Command): void {
  program
    .command('list')
    .description('list what can be captured here, with ready-to-use URIs')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ ringtap list
  $ ringtap list --json | jq -r '.[].uris[0]'`,
    )
    .action(list);
}

export async function list({ json }: { json?: true }): Promise<void> {
  const found = await devices();
  await (json ? printJson(found, 2) : printText(describe(found)));
}

function describe(found: readonly Device[]): string {
  const table = new Table({ head: ['device', 'state', 'addresses', 'URIs'], style: { head: [], border: [] } });
  for (const { name, description, up, loopback, addresses, uris } of found) {
    const state = [up ? 'up' : 'down', ...(loopback ? ['loopback'] : [])].join(', ');
    // Escaped before the table measures it.
    const title = (description === '' || description === name ? [name] : [name, description]).map(printable);
    table.push([title.join('\n'), state, addresses.join('\n'), uris.join('\n')]);
  }
  const also = 'Everywhere: file:trace.pcapng (pcap, pcapng, ERF; - is standard input), synth:?count=1000\n';
  return found.length === 0 ? `No device can be captured from here: see ringtap doctor.\n${also}` : `${table}\n${also}`;
}
