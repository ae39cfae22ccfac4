// A daemon that has connected: which of its interfaces, and its capture.
import type { Socket } from 'node:net';
import { isIPv6 } from 'node:net';
import { Capture } from '../capture/capture.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { openNative } from '../plan/opening.js';
import { planOf } from '../plan/plan.js';
import { plainAddress, secured } from '../rpcap/connect.js';
import { Control } from '../rpcap/control.js';
import { type FoundInterface, listInterfaces } from '../rpcap/interfaces.js';
import { greet } from '../rpcap/login.js';
import { openAt } from '../rpcap/opening.js';
import type { Settings } from '../uri/settings.js';
import { uriOf } from '../uri/uri.js';
import type { ChooseInterface, RemoteDaemon } from './remote-daemon.js';

export interface Wanted {
  readonly settings: Settings;
  readonly signal: AbortSignal | undefined;
  readonly choose: ChooseInterface;
  /** Counts the connections of an address for an interface. */
  readonly count: (address: string, name: string) => number;
}

/** @throws CaptureError, or the signal's reason; the connection is at its end then */
export async function captureOf(socket: Socket, { settings, signal, choose, count }: Wanted): Promise<Capture> {
  const address = plainAddress(socket.remoteAddress);
  const port = socket.remotePort ?? 0;
  const host = isIPv6(address) ? `[${address}]` : address;
  const scheme = settings.tls === undefined ? 'rpcap://' : 'rpcaps://';
  const options = {
    uri: `${scheme}${host}:${port}`,
    replyMs: Number(settings.values.replyMs),
    signal,
    tls: settings.tls,
  };
  const control = Control.accepted(options, await secured(socket, { ...options, host: address }));
  const login = await greet(control, settings.auth);
  const name = await chosen(control, { address, port }, choose);
  const target = `${host}/${name}`;
  const uri = uriOf(scheme, target);
  try {
    const session = await openAt(login, name, { ...settings, uri }, 'capture', (facts) =>
      openNative(
        { uri, target, signal },
        'rpcap',
        { ...settings, values: { ...settings.values, ...facts } },
        'capture',
      ),
    );
    const info = session.info();
    const plan = planOf({ uri, target }, 'rpcap', settings, info, [{ backend: 'rpcap', chosen: true }]);
    const peer = Object.freeze({ address, port, interface: name, connection: count(address, name) });
    return new Capture(session, info, plan, null, signal, peer);
  } catch (error) {
    throw wrapNative(error, 'rpcap', uri);
  }
}

async function chosen(
  control: Control,
  where: Pick<RemoteDaemon, 'address' | 'port'>,
  choose: ChooseInterface,
): Promise<string> {
  try {
    const list = await listInterfaces(control);
    const preselected = list[0] !== undefined && isPreselected(list[0]) ? list[0].target : undefined;
    const interfaces = list.map(({ target: name, description, up, loopback, addresses }) =>
      Object.freeze({ name, description: description.replace(PRESELECTED, ''), up, loopback, addresses }),
    );
    const name: unknown = preselected ?? (await choose(Object.freeze({ ...where, interfaces })));
    if (typeof name === 'string' && name !== '') return name;
    if (name === undefined) throw control.fault('RINGTAP_NO_INTERFACE', 'none of its interfaces was chosen');
    throw control.fault('RINGTAP_BAD_OPTION', `interface(daemon) must give a name or undefined, not ${show(name)}`);
  } catch (error) {
    control.close();
    if (error instanceof CaptureError || error === undefined) throw error;
    throw control.fault('RINGTAP_BAD_OPTION', 'interface(daemon) failed', { cause: error });
  }
}

/** What a daemon puts behind the description of the one interface that it lets anybody open. */
const PRESELECTED = /\s*;preselected$/;
const isPreselected = ({ description }: FoundInterface) => PRESELECTED.test(description);

/** The interface that the daemon comes from, else the first that brings anything. */
export const nearest: ChooseInterface = ({ address, interfaces }) => {
  const own = interfaces.find(({ addresses }) => addresses.some((text) => text.split('/')[0] === address));
  const usable = interfaces.find(({ up, loopback, name }) => up && !loopback && name !== 'any');
  return (own?.loopback === false ? own : (usable ?? own ?? interfaces[0]))?.name;
};
