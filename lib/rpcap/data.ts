// The way that packets come by: past us, from a socket to native code; or over TLS, through here and on by a pipe.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { NativeSession } from '../native/native.js';
import { dial, plainAddress, secured } from './connect.js';
import type { Control } from './control.js';

export interface Way {
  /** Ours, for the daemon to send or connect to; 0: we connect to one of the daemon's. */
  readonly port: number;
  /** Once the daemon has begun. @param port the daemon's, where ours is 0 */
  ready(port: number): Promise<void>;
  /** It is not needed. */
  close(): void;
}

export function wayOf(control: Control, session: NativeSession): Way | Promise<Way> {
  if (control.options.tls !== undefined)
    return control.isActive ? listening(control, session) : dialling(control, session);
  const { port } = session.remote()!;
  return { port, ready: async (theirs) => (port === 0 ? session.remoteConnect(theirs) : undefined), close() {} };
}

function dialling(control: Control, session: NativeSession): Way {
  const ready = async (port: number) => {
    const { options, host, peer } = control;
    const socket = await dial({ ...options, tls: undefined, host: peer, port });
    feed(control, session, await secured(socket, { ...options, host }));
  };
  return { port: 0, ready, close() {} };
}

/** The daemon connects to us, and is the TLS server all the same. */
async function listening(control: Control, session: NativeSession): Promise<Way> {
  const server = createServer({ noDelay: true });
  server.listen({ host: control.local, port: 0, backlog: 16 });
  await once(server, 'listening');
  server.on('error', () => {});
  server.unref();
  const came = daemonAt(server, control).then((socket) => secured(socket, { ...control.options, host: control.host }));
  came.catch(() => {}); // ready() tells, if it is asked
  return {
    port: (server.address() as AddressInfo).port,
    ready: async () => feed(control, session, await came),
    close: () => server.close(),
  };
}

function daemonAt(server: Server, control: Control): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { replyMs } = control.options;
    const late = () =>
      reject(
        control.fault('RINGTAP_REMOTE_UNREACHABLE', `the daemon has not connected with packets for ${replyMs} ms`),
      );
    const timer = setTimeout(late, replyMs);
    server.once('close', () => clearTimeout(timer));
    server.on('connection', (socket) => {
      if (plainAddress(socket.remoteAddress) !== control.peer) {
        socket.destroy();
        return;
      }
      server.close();
      resolve(socket);
    });
  });
}

function feed(control: Control, session: NativeSession, socket: Socket): void {
  const fd = session.remotePipe();
  if (fd < 0) {
    socket.destroy();
    return;
  }
  const weak = new WeakRef(session);
  const pipe = new Socket({ fd, readable: false, writable: true });
  pipeline(socket, pipe, (error) => {
    const isOurs = error === undefined || error === null || (error as NodeJS.ErrnoException).code === 'EPIPE';
    if (!isOurs) weak.deref()?.remoteEnd('RINGTAP_REMOTE_LOST', `the data connection broke: ${error.message}`, '');
  });
  control.data = socket;
  socket.unref();
  pipe.unref();
}
