// `ringtap extcap`: what can be captured here, in Wireshark's list of interfaces.
import { type Command, Option } from 'commander';
import { say, UsageError } from '../errors.js';
import { addHelp } from '../help.js';
import { print } from '../output.js';
import { answer, type Call } from './capture.js';
import { install, uninstall } from './install.js';
import { launcher } from './launcher.js';

interface ExtcapFlags extends Call {
  install?: true;
  uninstall?: true;
  print?: true;
  folder?: string;
}

export function addExtcap(program: Command): void {
  const command = program
    .command('extcap')
    .description('put all that can be captured here into the interface list of Wireshark and tshark')
    .option('--install', 'write the program that they start for it, or renew it')
    .option('--uninstall', 'remove it')
    .option('--print', 'print it')
    .option('--folder <folder>', 'where; else where they look for those of this user');
  // What the program that is installed passes on.
  for (const flags of ['--capture', '--fifo <path>', '--extcap-interface <name>', '--extcap-capture-filter <filter>']) {
    command.addOption(new Option(flags).hideHelp());
  }
  command.argument('[words...]').allowUnknownOption().usage('[options]');
  addHelp(command, {
    examples: [
      'ringtap extcap --install',
      'tshark -D | grep ringtap',
      'tshark -i ringtap-afpacket-eth0 -f "udp port 53"',
      'tshark -i ringtap-afpacket-eth0 -o extcap.ringtap_afpacket_eth_.snaplen:128',
      'tshark -i ringtap -o extcap.ringtap.uri:rpcap://sensor1/eth0',
      'sudo ringtap extcap --install --folder /usr/lib/x86_64-linux-gnu/wireshark/extcap',
    ],
    notes: [
      'Interfaces are named ringtap-SCHEME-DEVICE; the options of each scheme are a form (the gear beside it). "ringtap" itself takes any URI. A filter is the one that Wireshark has for captures.',
      'What is installed is a small shell script with the paths of Node and ringtap in it: after these have moved, install it again. Capturing takes the rights that `ringtap doctor` speaks of.',
    ],
  }).action((words: string[], flags: ExtcapFlags) => extcap(words, flags));
}

async function extcap(words: string[], flags: ExtcapFlags): Promise<void> {
  if (flags.capture || flags.extcapCaptureFilter !== undefined) return answer(flags, words);
  const [unknown] = words;
  if (unknown !== undefined) {
    throw new UsageError(`extcap: ${unknown} means nothing here`, 'ringtap extcap --help shows how it is used');
  }
  if (Number(flags.install ?? 0) + Number(flags.uninstall ?? 0) + Number(flags.print ?? 0) !== 1) {
    throw new UsageError(
      'extcap: give one of --install, --uninstall and --print',
      'For example: ringtap extcap --install',
    );
  }
  if (flags.print) return print(await launcher());
  if (flags.uninstall) {
    const path = uninstall(flags.folder);
    return say(path === undefined ? 'nothing was installed there' : `removed ${path}`);
  }
  say(`wrote ${await install(flags.folder)}: tshark -D lists its interfaces, Wireshark does after its next start`);
}
