import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { CaptureError, type Daemon, type ServeOptions, serve, userLine } from '../index.js';
import { say, UsageError } from './errors.js';
import { addHelp } from './help.js';
import { parseCount } from './options.js';
import { printText } from './output.js';
import { parseActive, readIni } from './rpcapd-ini.js';
import { readSecret } from './secret.js';

interface RpcapdFlags {
  bind?: string;
  port?: number;
  4?: true;
  hosts?: string[];
  active?: string[];
  nullAuth?: true;
  activeOnly?: true;
  ifname?: string;
  udpSize?: number;
  recovery?: number;
  zstd?: true;
  config?: string;
  users?: string;
  scheme?: string;
  source?: Record<string, string>;
  shared?: true;
  bufferSize?: number;
  tls?: true;
  key: string;
  cert: string;
  clientCa?: string;
  maxClients?: number;
  memory?: number;
  user?: string;
  quiet?: true;
  hashPassword?: string;
}

/** The first descriptor that systemd hands over. */
const FIRST_FD = 3;

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65536) return Number(text);
  throw new InvalidArgumentError('Expected a port number.');
}

const list = (text: string, before: string[] = []) => [...before, ...text.split(/[,;\s]+/).filter((one) => one !== '')];
const many = (text: string, before: string[] = []) => [...before, text];

function source(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=URI.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

export function addRpcapd(program: Command): void {
  addHelp(
    program
      .command('rpcapd')
      .description('let programs on other hosts capture here: a daemon as libpcap has one')
      .option('-b, --bind <address>', 'listen at this address only')
      .option('-p, --port <number>', 'listen at this port instead of 2002', parsePort)
      .option('-4', 'IPv4 only')
      .option('-l, --hosts <list>', 'hosts and networks that may connect, with commas; repeatable', list)
      .option('-n, --null-auth', 'nobody needs a user: in a network that you trust')
      .option('--users <file>', 'who gets in: a line name:scrypt$... for each')
      .option(
        '-a, --active <host>',
        'connect to HOST[,PORT][,ifname=NAME][,ifaddr=NETWORK], again and again; repeatable',
        many,
      )
      .option('-v, --active-only', 'only connect (-a), do not listen')
      .option('-i, --ifname <name>', 'for -a: the only interface that is given, marked ;preselected')
      .option('-f, --config <file>', 'read ActiveClient, PassiveClient, NullAuthPermit and Users; again at SIGHUP')
      .option(
        '-t, --udp-size <bytes>',
        'packets over UDP as udpstr, in datagrams of up to so many bytes; 0, the default, is a packet each',
        Number,
      )
      .option(
        '--recovery <bytes>',
        'with -t: clients may have lost datagrams sent again; memory for each of them',
        parseCount,
      )
      .option('--zstd', 'with -t: clients may have datagrams compressed')
      .option('--scheme <name>', 'capture interfaces by this method (afpacket)')
      .option('--source <name=URI>', 'offer this, too, by that name; repeatable', source)
      .option('--shared', 'one capture for all clients of an interface')
      .option(
        '--buffer-size <KiB>',
        'memory that packets of a capture wait in (16384); each client has a capture, unless --shared',
        parseCount,
      )
      .option('-S, --tls', 'speak TLS only')
      .option('-K, --key <file>', 'its key, PEM', 'key.pem')
      .option('-X, --cert <file>', 'its certificate, PEM', 'cert.pem')
      .option('--client-ca <file>', 'clients show a certificate, signed by one of these')
      .option('--max-clients <number>', 'connections at a time (128)', parseCount)
      .option('--memory <MiB>', 'what all captures may take together (half of what there is, 2048 at most)', parseCount)
      .option('--user <name>', 'once it listens, be this user, with the rights to capture and no others')
      .option('-q, --quiet', 'say nothing of who comes and goes')
      .option('--hash-password <user>', 'read a password from standard input, print a line for --users, and end'),
    {
      examples: [
        'ringtap rpcapd -n -b 127.0.0.1',
        ['ringtap rpcapd --hash-password capture < password >> users', 'then: chmod 600 users'],
        'ringtap rpcapd --users users -l 10.0.0.0/8 -t 1472',
        'ringtap rpcapd -v -n -a collector.example,2003,ifname=eth0',
        'ringtap rpcapd -n --source lab=synth:?rate=1000',
      ],
      notes: [
        "Letters are those of libpcap's rpcapd. Where ExtraHop's has another meaning: -t is ExtraHop's (bytes of a datagram; libpcap's is a port for packets), but 0 unless it is given, because libpcap's clients read no udpstr; -i is ExtraHop's (an interface; libpcap's is for inetd); -S is libpcap's (TLS; ExtraHop's prints counters); -d is neither's: a supervisor such as systemd puts it into the background.",
        'A socket that systemd hands over (LISTEN_FDS) takes the place of -b and -p. SIGINT and SIGTERM end every capture with what has arrived.',
      ],
    },
  ).action(async (flags: RpcapdFlags) => {
    if (flags.hashPassword !== undefined) {
      const password = readFileSync(0, 'utf8').replace(/\r?\n$/, '');
      if (password === '') throw new UsageError('--hash-password: standard input has no password');
      await printText(`${await userLine(flags.hashPassword, password)}\n`);
      return;
    }
    await run(flags);
  });
}

/** What options of `serve()` are called here. */
const LETTERS: Readonly<Record<string, string>> = {
  allow: '-l',
  datagramBytes: '-t',
  maxClients: '--max-clients',
  memoryBytes: '--memory',
  recoveryBytes: '--recovery',
  sources: '--source',
  zstd: '--zstd',
};
/** Hints that speak of several. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/nullAuth: true/, 'Give --users FILE, or, in a network that you trust, -n.'],
  [/active: \[/, 'Give -a HOST, or leave out -v.'],
  [/^Give datagramBytes/, 'Give -t, 1472 for Ethernet, too.'],
];

/** What `serve()` says of its options, of those of the command line. */
function inLetters(error: unknown): unknown {
  if (!(error instanceof CaptureError) || !error.message.startsWith('serve(): ')) return error;
  const message = error.message.replace(/^serve\(\): (?:option )?(\w+)?/, (_, name = '') => LETTERS[name] ?? name);
  const known = HINTS.find(([of]) => of.test(error.hint ?? ''))?.[1];
  // What is about a URI of --source says itself how to mend that.
  const other = error.cause instanceof CaptureError ? error.cause.hint : '`ringtap rpcapd --help` lists the options.';
  const hint = known ?? other;
  return new UsageError(message, hint);
}

async function run(flags: RpcapdFlags): Promise<void> {
  const daemon = await serve(optionsOf(flags)).catch((error) => {
    throw inLetters(error);
  });
  // WHY first: whoever sees it listen may send a signal.
  const asked = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
    process.on('SIGHUP', () => void reload(daemon, flags));
  });
  if (!flags.quiet) say(daemon.port === 0 ? 'connects, and listens nowhere' : `listens at port ${daemon.port}`);
  await asked;
  await daemon.close();
}

async function reload(daemon: Daemon, flags: RpcapdFlags): Promise<void> {
  try {
    await daemon.reload(optionsOf(flags));
    say('read its configuration again');
  } catch (error) {
    const why = inLetters(error);
    say(`goes on as it was: ${why instanceof Error ? why.message : String(why)}`);
  }
}

function optionsOf(flags: RpcapdFlags): ServeOptions {
  const ini = flags.config === undefined ? undefined : readIni(flags.config);
  const given = (flags.active ?? []).map((text) => {
    const client = parseActive(text);
    if (typeof client === 'string')
      throw new UsageError(`-a: ${client}`, 'Write -a HOST, -a HOST,2003 or -a HOST,2003,ifname=eth0.');
    return client;
  });
  const active = [...given, ...(ini?.active ?? [])].map((one) =>
    flags.ifname === undefined || one.ifname !== undefined || one.ifaddr !== undefined
      ? one
      : { ...one, ifname: flags.ifname },
  );
  if (flags.ifname !== undefined && active.length === 0)
    throw new UsageError('-i: nobody is connected to', 'It is for -a: write -i eth0 -a HOST.');
  const users = flags.users ?? ini?.users;
  return {
    host: flags.bind ?? (flags[4] ? '0.0.0.0' : undefined),
    port: flags.port,
    fd: handedOver(),
    passive: !flags.activeOnly,
    active,
    allow: [...(flags.hosts ?? []), ...(ini?.allow ?? [])],
    nullAuth: flags.nullAuth ?? ini?.nullAuth,
    users,
    scheme: flags.scheme,
    sources: flags.source,
    shared: flags.shared,
    capture: flags.bufferSize === undefined ? undefined : { bufferBytes: 1024 * flags.bufferSize },
    datagramBytes: flags.udpSize,
    recoveryBytes: flags.recovery,
    zstd: flags.zstd,
    maxClients: flags.maxClients,
    memoryBytes: flags.memory === undefined ? undefined : flags.memory * 2 ** 20,
    tls: flags.tls
      ? { key: readSecret(flags.key, '-K').toString(), cert: pem(flags.cert, '-X'), ...clientCa(flags) }
      : undefined,
    user: flags.user,
    onEvent: flags.quiet ? undefined : ({ peer, what }) => say(peer === '' ? what : `${peer}: ${what}`),
  };
}

function clientCa({ clientCa: path }: RpcapdFlags): { ca?: string } {
  return path === undefined ? {} : { ca: pem(path, '--client-ca') };
}

function pem(path: string, option: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_OPEN', `${option}: ${what}`, { cause });
  }
}

/** A socket that listens already. */
function handedOver(): number | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = process.env;
  return Number(pid) === process.pid && Number(count) >= 1 ? FIRST_FD : undefined;
}
