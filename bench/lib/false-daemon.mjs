// As much of a daemon as a client of rpcap needs, so that somebody else can send the packets.
import { once } from 'node:events';
import { createServer } from 'node:net';

const HEADER_BYTES = 8;
const START = 4;

function reply(type, payload) {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
  bytes.writeUInt8(type | 0x80, 1);
  bytes.writeUInt32BE(payload.length, 4);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

const NAME = Buffer.from('x');
const entry = Buffer.alloc(12);
entry.writeUInt16BE(NAME.length, 0);
const INTERFACES = reply(2, Buffer.concat([entry, NAME]));
INTERFACES.writeUInt16BE(1, 2);

/** FINDALLIF: one; OPEN: Ethernet; STATS: nothing was lost; whatever else: yes. */
const ANSWERS = {
  2: INTERFACES,
  3: reply(3, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0])),
  [START]: reply(START, Buffer.alloc(8)),
  9: reply(9, Buffer.alloc(16)),
};

/** Answers a client, whoever has connected. @returns the port that it awaits datagrams at, once it has said so */
export function answer(socket) {
  return new Promise((resolve) => {
    socket.on('error', () => {});
    let waiting = Buffer.alloc(0);
    socket.on('data', (piece) => {
      waiting = Buffer.concat([waiting, piece]);
      while (waiting.length >= HEADER_BYTES && waiting.length >= HEADER_BYTES + waiting.readUInt32BE(4)) {
        const end = HEADER_BYTES + waiting.readUInt32BE(4);
        const type = waiting[1];
        if (type === START) resolve(waiting.readUInt16BE(HEADER_BYTES + 10));
        socket.write(ANSWERS[type] ?? reply(type, Buffer.alloc(0)));
        waiting = waiting.subarray(end);
      }
    });
  });
}

/** Listens on the loopback: { port, client } where `client` resolves with the port that datagrams are awaited at. */
export async function falseDaemon() {
  const sockets = new Set();
  const server = createServer();
  const client = new Promise((resolve) => {
    server.on('connection', (socket) => {
      sockets.add(socket);
      answer(socket).then(resolve);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: server.address().port, client, close };
}
