import { CaptureError } from '../errors/errors.js';
import type { OptionsOf } from '../generated/options.js';
import { BACKENDS } from '../generated/schema.js';
import { addon } from '../native/native.js';
import { nearestName } from '../uri/nearest.js';
import { type Request, resolve } from '../uri/request.js';
import { interfaceAddresses, uriOf } from '../uri/uri.js';

/** A network interface, or another thing that a capture method can open. */
export interface Device {
  /** What follows the scheme in its URIs. */
  readonly name: string;
  /** What it is, in words; empty where nobody says. */
  readonly description: string;
  /** Whether it is switched on: what is down cannot be captured until it is. */
  readonly up: boolean;
  /** Whether it is the host's loopback. */
  readonly loopback: boolean;
  /** IP addresses with prefix length. */
  readonly addresses: readonly string[];
  /**
   * URIs that `open()` takes as they stand once the device is up, the recommended one first. None where the name is no
   * UTF-8, which no string of JavaScript can say.
   */
  readonly uris: readonly string[];
}

/**
 * Everything that can be opened here, with ready-to-use URIs; or, with `rpcap://host`, at the daemon there.
 * @throws CaptureError RINGTAP_ADDON_MISSING, RINGTAP_SYSTEM; for a URI that lists nothing, and where no daemon answers; or
 * the signal's reason
 * @param uri such as `rpcap://sensor1` or `rpcap://sensor1:2002`
 * @param options those of the scheme that are about the connection: `auth`, `replyMs`, `signal`
 * @example
 * for (const { name, up, uris } of await devices()) console.log(name, up, uris[0]);
 */
export async function devices<Uri extends string>(uri?: Uri, options?: OptionsOf<Uri>): Promise<Device[]> {
  return uri === undefined ? devicesHere() : devicesAt(resolve(uri, options, true));
}

async function devicesAt(request: Request): Promise<Device[]> {
  const { uri, scheme } = request;
  if (scheme !== 'rpcap') {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `${uri}: ${scheme}: lists nothing by a URI`, {
      uri,
      hint: 'devices() without a URI lists what this host has, devices("rpcap://host") what another one has.',
    });
  }
  const { remoteInterfaces } = await import('../rpcap/interfaces.js');
  const found = await remoteInterfaces(request, request.settings('rpcap'));
  return found.map(({ target: name, description, up, loopback, addresses, uri: opens }) => ({
    name,
    description,
    up,
    loopback,
    addresses,
    uris: name.includes('\ufffd') ? [] : [opens],
  }));
}

async function devicesHere(): Promise<Device[]> {
  const found = new Map<string, Device & { uris: string[] }>();
  const addresses = new Map(Object.entries(interfaceAddresses()));
  for (const { name: backend, target, platforms } of BACKENDS) {
    if (target === 'path' || target === 'host' || target === 'none' || !platforms.includes(process.platform)) continue;
    for (const { target: name, description, up, loopback } of await addon().devices(backend)) {
      const device = found.get(name) ?? {
        name,
        description,
        up,
        loopback,
        addresses: (addresses.get(name) ?? []).map((address) => address.cidr ?? address.address),
        uris: [],
      };
      if (!name.includes('\ufffd')) device.uris.push(uriOf(backend, name));
      found.set(name, device);
    }
  }
  return [...found.values()];
}

/** The device whose name is nearest to a misspelt one, if any is near. */
export function nearestDevice(name: string, all: readonly Device[]): string | undefined {
  return nearestName(
    name,
    all.map((device) => device.name),
  );
}
