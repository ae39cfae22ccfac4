import { isIPv6 } from 'node:net';
import type { NativeDevice } from '../native/native.js';
import type { Request } from '../uri/request.js';
import type { Settings } from '../uri/settings.js';
import { uriOf } from '../uri/uri.js';
import type { Control } from './control.js';
import { logIn } from './login.js';
import { Type } from './messages.js';
import { type Target, targetOf } from './target.js';

/** An interface of the daemon's host. */
export interface FoundInterface extends NativeDevice {
  /** IP addresses with prefix length. */
  readonly addresses: readonly string[];
}

/** With the URI that opens it. */
export interface RemoteInterface extends FoundInterface {
  readonly uri: string;
}

/** What a daemon has to capture from. */
export async function remoteInterfaces(request: Request, settings: Settings): Promise<RemoteInterface[]> {
  const target = targetOf(request);
  const { control } = await logIn(request, target, settings);
  try {
    const list = await listInterfaces(control);
    return list.map((found) => ({ ...found, uri: uriAt(target, found.target, settings) }));
  } finally {
    control.close();
  }
}

/** Its interfaces, in the daemon's order. */
export async function listInterfaces(control: Control): Promise<readonly FoundInterface[]> {
  const list = readInterfaces(await control.request(Type.interfaces));
  if (list === undefined)
    throw control.fault('RINGTAP_REMOTE_PROTOCOL', 'the daemon lists interfaces that are cut off');
  return list;
}

function uriAt({ host, port }: Target, device: string, { tls }: Settings): string {
  return uriOf(tls === undefined ? 'rpcap://' : 'rpcaps://', `${isIPv6(host) ? `[${host}]` : host}:${port}/${device}`);
}

const ENTRY_BYTES = 12;
const ADDRESS_BYTES = 128;
/** Address, netmask, broadcast address and that of the other end. */
const ADDRESSES = 4;
const UP = 2;
const LOOPBACK = 1;

/** The entries up to the end of the payload, whose number the message tells too; undefined where the last one is cut. */
function readInterfaces(payload: Buffer): FoundInterface[] | undefined {
  const found: FoundInterface[] = [];
  for (let at = 0; at < payload.length; ) {
    if (at + ENTRY_BYTES > payload.length) return undefined;
    const nameBytes = payload.readUInt16BE(at);
    const textBytes = payload.readUInt16BE(at + 2);
    const flags = payload.readUInt32BE(at + 4);
    const addressBytes = payload.readUInt16BE(at + 8) * ADDRESSES * ADDRESS_BYTES;
    const name = at + ENTRY_BYTES;
    const addresses = name + nameBytes + textBytes;
    at = addresses + addressBytes;
    if (at > payload.length) return undefined;
    found.push({
      target: payload.toString('utf8', name, name + nameBytes),
      description: payload.toString('utf8', name + nameBytes, addresses),
      up: (flags & UP) !== 0,
      loopback: (flags & LOOPBACK) !== 0,
      addresses: addressesIn(payload.subarray(addresses, at)),
    });
  }
  return found;
}

function addressesIn(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; at += ADDRESSES * ADDRESS_BYTES) {
    const address = ipOf(bytes.subarray(at, at + ADDRESS_BYTES));
    const mask = ipOf(bytes.subarray(at + ADDRESS_BYTES, at + 2 * ADDRESS_BYTES));
    if (address === undefined) continue;
    const prefix = mask === undefined ? '' : `/${ones(mask)}`;
    texts.push(`${textOf(address)}${prefix}`);
  }
  return texts;
}

/** WHY so many: older daemons send addresses as their own system has them. */
const IPV4_FAMILIES = [2, 0x1002, 0x1000];
const IPV6_FAMILIES = [23, 10, 22, 24, 26, 0x1c18, 0x1c1c, 0x1c1e, 0x1c00];

function ipOf(address: Buffer): Buffer | undefined {
  const family = address.readUInt16BE(0);
  if (IPV4_FAMILIES.includes(family)) return address.subarray(4, 8);
  if (IPV6_FAMILIES.includes(family)) return address.subarray(8, 24);
  return undefined;
}

function ones(mask: Buffer): number {
  return [...mask].reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
}

function textOf(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16)).join(':');
  // As a URL has it: the longest run of zeros is left out.
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
