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

const TAP = `
import fcntl, os, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH", sys.argv[1].encode(), 0x1002)) # TUNSETIFF: IFF_TAP | IFF_NO_PI
for frame in sys.argv[2:]:
    os.write(tap, bytes.fromhex(frame))
`;

/** The same through a tap device, from the side of the program that has it. */
export async function sendTap(iface: string, frames: readonly Uint8Array[]): Promise<void> {
  await run('python3', '-c', TAP, iface, ...frames.map((frame) => Buffer.from(frame).toString('hex')));
}
