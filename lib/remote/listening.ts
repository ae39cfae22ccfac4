// What listens: says what is wrong with the options, and makes a capture of each connection.
import { CaptureError, warn } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { refuseWithoutDatagrams } from '../rpcap/opening.js';
import { targetOf } from '../rpcap/target.js';
import { Door, readAllow } from '../tcp/door.js';
import { bad, ownOptions } from '../uri/options.js';
import { resolve } from '../uri/request.js';
import { captureOf, nearest } from './daemon.js';
import type { ListenOptions } from './listen.js';
import { Listener } from './listener.js';
import type { ChooseInterface } from './remote-daemon.js';
import { captureOfStream, streamsAt } from './stream.js';

/** What daemons use that connect (rpcap's active mode). */
const ACTIVE_PORT = 2003;
const MOST_CONNECTIONS = 2048;
/** Hosts and interfaces that are remembered. */
const MOST_KNOWN = 65536;
/** Different complaints that are said. */
const MOST_WARNINGS = 100;

/** Does what {@link listen} says. */
export async function listenAt(uri: string, options: unknown): Promise<Listener> {
  const {
    allow,
    interface: wanted,
    mostConnections = MOST_CONNECTIONS,
    ...rest
  } = ownOptions({ uri }, options) as ListenOptions;
  const request = resolve(uri, rest, true);
  if (request.scheme !== 'rpcap' && request.scheme !== 'tcp') {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: nobody connects to us by ${request.scheme}:`, {
      uri,
      hint: 'listen() takes rpcap://0.0.0.0:2003 and tcp-listen://0.0.0.0:57012.',
    });
  }
  const settings = request.settings(request.scheme);
  const at =
    request.scheme === 'tcp' ? { ...streamsAt(request, settings), device: '' } : targetOf(request, ACTIVE_PORT);
  const { host, port, device } = at;
  if (request.scheme === 'tcp' && wanted !== undefined) throw bad({ uri }, 'interface', 'is for rpcap: daemons');
  const choose = readChoice(uri, wanted, device);
  if (!Number.isInteger(mostConnections) || mostConnections < 1 || mostConnections > 65536) {
    throw bad({ uri }, 'mostConnections', `must be 1 to 65536 connections, not ${show(mostConnections)}`);
  }
  const door = { uri, host, port, allow: readAllow({ uri }, allow), mostConnections };
  const known = new Known();
  const complain = complainer();
  const { signal } = request;
  if (request.scheme === 'rpcap') refuseWithoutDatagrams(uri, settings);
  return Listener.open({
    uri,
    signal,
    open: (listener) =>
      Door.open(door, async (socket) => {
        try {
          const { count } = known;
          listener.take(
            await (request.scheme === 'tcp'
              ? captureOfStream(socket, { settings, signal, count })
              : captureOf(socket, { settings, signal, choose, count })),
          );
        } catch (error) {
          listener.failed();
          if (!signal?.aborted) complain(error);
          throw error;
        }
      }),
  });
}

function readChoice(uri: string, wanted: unknown, device: string): ChooseInterface {
  if (wanted !== undefined && device !== '') throw bad({ uri }, 'interface', `is ${device} in the URI already`);
  if (typeof wanted === 'function') return wanted as ChooseInterface;
  const name = wanted ?? device;
  if (typeof name !== 'string' || wanted === '') {
    throw bad({ uri }, 'interface', `must be a name or a function, not ${show(wanted)}`);
  }
  return name === '' ? nearest : () => name;
}

/** How often each has come. Of the many it remembers those that came last. */
class Known {
  readonly #times = new Map<string, number>();

  readonly count = (address: string, name: string): number => {
    const key = `${address} ${name}`;
    const times = (this.#times.get(key) ?? 0) + 1;
    this.#times.delete(key);
    this.#times.set(key, times);
    if (this.#times.size > MOST_KNOWN) this.#times.delete(this.#times.keys().next().value!);
    return times;
  };
}

/** Says each thing once, and not endlessly many: whoever may connect could fill a log with it. */
function complainer(): (error: unknown) => void {
  const said = new Set<string>();
  return (error) => {
    const what = error instanceof Error ? error.message : String(error);
    const key = what.replace(/:\d+(?=: )/, ''); // whatever port it comes from
    if (said.has(key) || said.size >= MOST_WARNINGS) return;
    said.add(key);
    warn('RINGTAP_REMOTE_CONNECTION', what);
  };
}
