// Options that people bring along from tcpdump, dumpcap and tshark, where they mean nothing here.

/** What to write instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  '-a': 'write --duration 10s or -c 1000',
  '-d': '`ringtap explain URI FILTER` says where a filter runs; its code is not shown',
  '-E': 'nothing is decrypted',
  '-F': 'write -f "$(cat FILE)"',
  '-I': 'monitor mode is set with: iw dev IFACE set type monitor',
  '-j': 'write -o timestamp=hardware; `ringtap help uri` lists the values of each scheme',
  '-J': '`ringtap help uri` lists the time stamps of each scheme (its option timestamp)',
  '-k': 'write ringtap capture URI -w - | wireshark -k -i -',
  '-L': '`ringtap explain URI` shows the link type',
  '-O': 'filters are always optimised',
  '-R': 'the filter is the last words, or -f',
  '-T': 'payloads are not decoded: -X shows them, and --json is for programs',
  '-v': '`ringtap read -v` and `ringtap capture -v` print each layer of a packet',
  '-y': '`ringtap explain URI` shows the link type, which is the interface’s own',
  '-Y': 'the filter is the last words, or -f: a pcap-filter(7) expression',
  '-z': 'a trace is compressed by --compress zstd:3, or when its name ends .zst, .lz4 or .gz; standard error names each file that is complete; in a program: writer.files()',
  '-Z': 'to compress write --compress zstd:3; the user is not changed: run it as that user, with the capabilities that `ringtap doctor` names',
  '-#': 'write | cat -n',
  '--immediate-mode': 'write -o timeoutMs=1',
  '--list-interfaces': 'write ringtap list',
  '--micro': 'openWriter() of the library has nanosecond: false',
  '--nano': 'traces and --json have nanoseconds, lines have microseconds',
};

/** Options of `capture` that people give to no command, or to another one. */
const CAPTURE: Readonly<Record<string, string>> = {
  '-b': 'ringtap capture eth0 -w FILE -b filesize:100000',
  '-C': 'ringtap capture eth0 -w FILE -C 100',
  '-D': 'ringtap list',
  '-G': 'ringtap capture eth0 -w FILE -G 3600',
  '-i': 'ringtap capture -i eth0',
  '-r': 'ringtap read FILE',
  '-w': 'ringtap capture eth0 -w FILE',
  '-W': 'ringtap capture eth0 -w FILE -C 100 -W 10',
};

/** How the commands that read traces write one. */
const WRITES: Readonly<Record<string, string>> = {
  'ringtap convert': 'ringtap convert IN OUT',
  'ringtap read': 'ringtap convert IN OUT, or ringtap capture -r IN -w OUT',
};

/** @param flag the option that is none, such as `-G` @param path the command it was given to, such as `ringtap read` */
export function hintForOption(flag: string, path: string): string {
  const letter = flag.startsWith('--') ? flag.replace(/=.*/s, '') : flag.slice(0, 2);
  if (letter === '-w' && Object.hasOwn(WRITES, path)) return `write ${WRITES[path]}`;
  if (Object.hasOwn(CAPTURE, letter)) return `write ${CAPTURE[letter]}`;
  if (path === 'ringtap' && letter === '-v') return 'write ringtap --version';
  if (path === 'ringtap' && !flag.startsWith('--'))
    return `options come after a command: ringtap capture eth0 ${letter}`;
  return Object.hasOwn(INSTEAD, letter) ? INSTEAD[letter]! : `${path} --help shows how it is used`;
}
