// The program that Wireshark starts: a shell script, as Node would take longer to start than Wireshark may be kept
// waiting for each interface.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BACKENDS } from '../../generated/schema.js';
import { type Device, devices, linkTypeName } from '../../index.js';
import { version } from '../version.js';
import { formOf, line } from './form.js';
import { ANY, nameOf } from './names.js';

/** By which a launcher is known for one. */
export const MARK = '# A launcher of ringtap for Wireshark and tshark';
/** WHY not /sys/class/net: in another network namespace that may still be the first one's. */
const INTERFACES = '/proc/net/dev';
const HARDWARE = '/sys/class/net';
const ETHERNET = 1;
/** What is captured of interfaces by the hardware type in /sys, where it is not Ethernet. */
const LINK_TYPES: readonly (readonly [hardware: string, linkType: number])[] = [
  ['65534|519', 101],
  ['801', 105],
  ['802', 119],
  ['803', 127],
  ['280', 227],
  ['824', 253],
];
/** What is no interface of the kernel's. */
const COOKED = new Map([
  ['any', 276],
  ['nflog', 239],
  ['bluetooth-monitor', 254],
]);

/** A script that answers at once what interfaces there are and which options, and leaves capturing to Node. */
export async function launcher(): Promise<string> {
  const found = (await devices()).filter(({ name }) => /^[\w.:@+-]+$/.test(name));
  const kernel = kernelNames();
  const methods = methodsOf(found, kernel);
  const others = found.flatMap((device) =>
    methods
      .filter(
        (method) =>
          !(method.isLive && kernel.has(device.name)) && device.uris.includes(`${method.scheme}:${device.name}`),
      )
      .map(({ scheme }) => ({ scheme, ...device })),
  );
  const program = [process.execPath, fileURLToPath(new URL('../main.js', import.meta.url))].map(quote);
  return `#!/bin/sh
${MARK}, made by: ringtap extcap --install
# The same again renews it, as after an upgrade of Node or ringtap. Interfaces are those of the moment.
node=${program[0]}
ringtap=${program[1]}
asked= name= before=
for word; do
    [ "$before" = --extcap-interface ] && name=$word
    case $word in
        --extcap-interface=*) name=\${word#*=} ;;
        --extcap-interfaces) asked=interfaces ;;
        --extcap-config) asked=\${asked:-config} ;;
        --extcap-dlts) asked=\${asked:-dlts} ;;
        --capture|--extcap-capture-filter) asked=node ;;
    esac
    before=$word
done
dlt() { printf 'dlt {number=%s}{name=%s}{display=%s}\\n' "$1" "$2" "$2"; }
case $asked in
    interfaces)
        [ -x "$node" ] && [ -f "$ringtap" ] || exit 0
${say([
  line('extcap', [
    ['version', version()],
    ['display', 'ringtap'],
  ]),
])}
        [ -r ${INTERFACES} ] && while IFS=': ' read -r name rest; do
            case $name in *'|'*|face) continue ;; esac
${methods
  .filter(({ isLive }) => isLive)
  .map(listed)
  .join('\n')}
        done < ${INTERFACES}
${say([
  ...others.map((other) => interfaceLine(other.scheme, other.name)),
  line('interface', [
    ['value', ANY],
    ['display', 'any URI of ringtap'],
  ]),
])}
        ;;
    config)
        case $name in
            ${ANY})
${say(anyForm())}
                ;;
${methods.map(({ scheme }) => `            ${ANY}-${scheme}-*)\n${say(formOf(scheme))}\n                ;;`).join('\n')}
        esac ;;
    dlts)
        case $name in
${others.map(({ scheme, name }) => `            ${nameOf(scheme, name)}) ${dlt(COOKED.get(name) ?? ETHERNET)} ;;`).join('\n')}
            *)  type=; name=\${name#*-}
                [ -e "${HARDWARE}/\${name#*-}/type" ] && read -r type < "${HARDWARE}/\${name#*-}/type"
                case $type in
${LINK_TYPES.map(([hardware, linkType]) => `                    ${hardware}) ${dlt(linkType)} ;;`).join('\n')}
                    *) ${dlt(ETHERNET)} ;;
                esac ;;
        esac ;;
    node)
        [ -x "$node" ] && [ -f "$ringtap" ] && exec "$node" "$ringtap" extcap "$@"
        echo "ringtap: $ringtap or $node is not there any more: ringtap extcap --install" >&2
        exit 1 ;;
    *)
        echo 'Wireshark calls this program; ringtap extcap --help says more.' ;;
esac
`;
}

interface Method {
  readonly scheme: string;
  /** Whether it captures the interfaces of the kernel: those are listed as they are when Wireshark asks. */
  readonly isLive: boolean;
  readonly hasLoopback: boolean;
}

/** Those that find anything here, whatever rights they take. */
function methodsOf(found: readonly Device[], kernel: ReadonlySet<string>): Method[] {
  return BACKENDS.map(({ name }) => name as string).flatMap((scheme) => {
    const its = found.filter(({ name, uris }) => uris.includes(`${scheme}:${name}`));
    if (its.length === 0) return [];
    const interfaces = its.filter(({ name }) => kernel.has(name));
    return [{ scheme, isLive: interfaces.length > 0, hasLoopback: interfaces.some(({ loopback }) => loopback) }];
  });
}

function kernelNames(): ReadonlySet<string> {
  if (!existsSync(INTERFACES)) return new Set();
  const lines = readFileSync(INTERFACES, 'utf8').split('\n').slice(2);
  return new Set(lines.map((text) => text.replace(/:.*/s, '').trim()));
}

function listed({ scheme, hasLoopback }: Method): string {
  const print = `printf 'interface {value=%s}{display=%s}\\n' "${nameOf(scheme, '$name')}" "${scheme}:$name with ringtap"`;
  return `            ${hasLoopback ? '' : '[ "$name" = lo ] || '}${print}`;
}

function interfaceLine(scheme: string, name: string): string {
  return line('interface', [
    ['value', nameOf(scheme, name)],
    ['display', `${scheme}:${name} with ringtap`],
  ]);
}

function anyForm(): string[] {
  const uri = 'Such as rpcap://sensor1/eth0, dpdk:0000:01:00.0 or afpacket:eth0?snaplen=128';
  return [
    line('arg', [
      ['number', '0'],
      ['call', '--uri'],
      ['display', 'URI'],
      ['tooltip', uri],
      ['placeholder', 'rpcap://sensor1/eth0'],
      ['type', 'string'],
      ['required', 'true'],
    ]),
    line('arg', [
      ['number', '1'],
      ['call', '--auth-file'],
      ['display', 'File with user:password'],
      ['tooltip', 'For rpcap:// only'],
      ['type', 'fileselect'],
      ['mustexist', 'true'],
    ]),
  ];
}

function dlt(linkType: number): string {
  return `dlt ${linkType} ${quote(linkTypeName(linkType))}`;
}

/** A command that prints these lines. WHY no here-document: those take a file or a process. */
function say(lines: readonly string[]): string {
  return `        printf '%s\\n' ${lines.map(quote).join(' \\\n            ')}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
