// A socket of Node.js as native code reads and writes it.
import { Socket } from 'node:net';
import { addon, type NativeConnection } from '../native/native.js';

/**
 * Gives a connection to native code. One that nothing was read from yet goes as it is: its bytes never see the event loop.
 * Through any other one, such as TLS, they are passed on by the event loop, in pieces of up to 64 KiB and no faster than
 * they are taken at the other end.
 * @param socket paused; it is closed when the connection is, and must not be used any more
 */
export function handOver(socket: Socket): NativeConnection {
  const { fd } = (socket as Socket & { readonly _handle?: { readonly fd?: unknown } })._handle ?? {};
  if (socket.constructor === Socket && socket.readableLength === 0 && typeof fd === 'number' && fd >= 0) {
    const connection = addon().adopt(fd);
    if (connection !== undefined) {
      socket.on('error', () => {});
      socket.destroy(); // the descriptor was duplicated: the connection goes on
      return connection;
    }
  }
  return passOn(socket);
}

/** Passes bytes on between a socket and native code, both ways, for as long as either end is there. */
export function passOn(socket: Socket): NativeConnection {
  const [connection, fd] = addon().pair();
  const end = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  socket.on('error', ({ message }) => {
    connection.end(`the connection broke: ${message}`, '');
    end.destroy();
  });
  // It was closed at the native end, whose matter that is.
  end.on('error', () => socket.destroy());
  end.on('close', () => socket.destroySoon());
  socket.on('close', () => end.end());
  socket.pipe(end);
  end.pipe(socket);
  // Who waits for packets keeps the process alive, and not the connection.
  socket.unref();
  end.unref();
  return connection;
}
