// Frames sent as they are, byte for byte: what the traffic generator cannot make.
import { run } from './child.js';

const SENDER = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind((sys.argv[1], 0))
for line in sys.argv[2:]:
    s.send(bytes.fromhex(line))
`;

export async function sendRaw(iface: string, frames: readonly Uint8Array[]): Promise<void> {
  await run('python3', '-c', SENDER, iface, ...frames.map((frame) => Buffer.from(frame).toString('hex')));
}
