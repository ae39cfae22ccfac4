// Checks the layout of the C++ sources, or corrects it with --write.
import { spawnSync } from 'node:child_process';
import { filesIn, root } from './files.mjs';

// Debian 12's. Versions disagree with each other, so there must be one.
const PROGRAM = 'clang-format-14';

const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '-Werror'];
const files = filesIn(['native', 'bench/native'], /\.(h|cc)$/);
const { status, error } = spawnSync(PROGRAM, [...mode, ...files], { cwd: root, stdio: 'inherit' });
if (error)
  console.error(
    `${PROGRAM}: ${error.message}; other versions format differently (Debian 12: apt-get install clang-format)`,
  );
process.exitCode = status ?? 1;
