// What a build from source needs, and how each system calls it.
import { spawnSync } from 'node:child_process';
import { headerFolders, nodeHeaders } from './headers.mjs';

const answers = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
const some = (...programs) => programs.some((name) => name !== undefined && name !== '' && answers(name));

const TOOLS = [
  { name: 'cmake', why: 'drives the build', has: () => answers('cmake'), apt: 'cmake', apk: 'cmake', dnf: 'cmake' },
  {
    name: 'a C++20 compiler',
    why: 'gcc 11, clang 14, or newer',
    has: () => some(process.env.CXX, 'c++', 'g++', 'clang++'),
    ...{ apt: 'g++', apk: 'g++', dnf: 'gcc-c++' },
  },
  { name: 'make', why: 'or ninja', has: () => some('make', 'ninja'), apt: 'make', apk: 'make', dnf: 'make' },
  {
    name: "Node's headers",
    why: `in none of ${headerFolders().join(', ')}; npm_config_nodedir=DIR names another place, DIR/include/node`,
    has: () => nodeHeaders() !== undefined,
    ...{ apt: 'libnode-dev', apk: 'nodejs-dev', dnf: 'nodejs-devel' },
  },
];

/** What is not here of what a build needs. Windows' compiler is found by CMake, by no program's name. */
export const lacking = () =>
  TOOLS.filter(({ name, has }) => !(process.platform === 'win32' && name !== 'cmake') && !has());

const MANAGERS = {
  'apt-get': ['Debian, Ubuntu', 'apt-get install', 'apt'],
  apk: ['Alpine', 'apk add', 'apk'],
  dnf: ['Fedora, RHEL', 'dnf install', 'dnf'],
};

/** The missing, a line each, with the command that installs them: of this system's package manager, or of all. */
export function remedies(missing) {
  const here = Object.keys(MANAGERS).find((name) => answers(name));
  const lines = Object.entries(MANAGERS)
    .filter(([name]) => here === undefined || name === here)
    .map(([, [systems, command, key]]) => `  ${systems}: ${command} ${missing.map((tool) => tool[key]).join(' ')}`);
  return [
    ...missing.map(({ name, why }) => `  - ${name} (${why})`),
    'Install them, then build again with: npm rebuild ringtap',
    ...lines,
  ].join('\n');
}
