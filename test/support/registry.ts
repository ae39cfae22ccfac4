// A registry that has a few packages, for package managers in a network without any other.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Entry {
  readonly manifest: { readonly name: string; readonly version: string };
  readonly tarball: string;
}

/** Serves these until it is closed. */
export async function serveRegistry(entries: readonly Entry[]): Promise<{ url: string; close(): void }> {
  const server = createServer(({ url = '/' }, response) => {
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [name, file] = decodeURIComponent(url.split('?')[0]!.slice(1)).split('/-/');
    const entry = entries.find(({ manifest }) => manifest.name === name);
    if (entry === undefined) return response.writeHead(404).end('{}');
    const bytes = readFileSync(entry.tarball);
    if (file !== undefined) return response.end(bytes);
    const { manifest } = entry;
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    const shasum = createHash('sha1').update(bytes).digest('hex');
    const dist = { tarball: `${at}/${name}/-/${manifest.version}.tgz`, integrity, shasum };
    response.setHeader('content-type', 'application/json').end(
      JSON.stringify({
        name,
        'dist-tags': { latest: manifest.version },
        versions: { [manifest.version]: { ...manifest, dist } },
        time: { [manifest.version]: '2020-01-01T00:00:00.000Z' },
      }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}
