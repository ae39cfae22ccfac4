// Node's headers, without the network: an addon that uses libuv needs uv.h too, which npm's node-api-headers does not have.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where they may be for this Node: what the user says, beside it, where distributions put them, what node-gyp fetched. */
export function headerFolders() {
  const { npm_config_nodedir, XDG_CACHE_HOME } = process.env;
  const caches = [XDG_CACHE_HOME ?? join(homedir(), '.cache'), join(homedir(), 'Library/Caches')];
  return [
    npm_config_nodedir,
    dirname(dirname(process.execPath)),
    '/usr',
    '/usr/local',
    ...caches.map((cache) => join(cache, 'node-gyp', process.versions.node)),
  ]
    .filter((folder) => folder !== undefined && folder !== '')
    .map((folder) => join(folder, 'include/node'));
}

/** The folder with node_api.h and uv.h, or undefined. */
export const nodeHeaders = () =>
  headerFolders().find((folder) => ['node_api.h', 'uv.h'].every((name) => existsSync(join(folder, name))));
