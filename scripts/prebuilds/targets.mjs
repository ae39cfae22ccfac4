// The binaries that a release has, and what they were made of.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Name → where the binary lies below `prebuilds/` (as node-gyp-build looks for it) and what zig and CMake call the machine. */
export const TARGETS = {
  'linux-x64-glibc': { file: 'linux-x64/ringtap.glibc.node', zig: 'x86_64-linux-gnu.2.28', processor: 'x86_64' },
  'linux-x64-musl': { file: 'linux-x64/ringtap.musl.node', zig: 'x86_64-linux-musl', leadsTo: 'linux-x64-glibc' },
  'linux-arm64-glibc': { file: 'linux-arm64/ringtap.glibc.node', zig: 'aarch64-linux-gnu.2.28', processor: 'aarch64' },
  'linux-arm64-musl': {
    file: 'linux-arm64/ringtap.musl.node',
    zig: 'aarch64-linux-musl',
    leadsTo: 'linux-arm64-glibc',
  },
};

/** What stands before the hash in every binary; native/addon/addon.cc puts it there. */
export const MARK = 'ringtap source ';

const LEFT_OUT = /^(test|fuzz)\/|(^|\/)(conformance\.|(tests|fuzz)\.cmake$)|_(test|fuzz)\.cc$/;

/** The native sources that a binary is made of, relative to `root`: the same in a clone and in an installed package. */
export function sources(root) {
  const native = readdirSync(join(root, 'native'), { recursive: true })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /\.(cc|h|inc|cmake|map)$|(^|\/)CMakeLists\.txt$/.test(path) && !LEFT_OUT.test(path));
  return ['CMakeLists.txt', ...native.sort().map((path) => `native/${path}`)];
}

/** A number for their text. A binary has that of the sources it was built from. */
export function sourceHash(root) {
  const hash = createHash('sha256');
  for (const path of sources(root))
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  return hash.digest('hex').slice(0, 16);
}
